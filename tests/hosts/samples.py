"""Configs as people have them: comments, odd indentation, other servers, things of no concern to us."""

from typing import Final

CLAUDE_DESKTOP = """{
  "globalShortcut": "Ctrl+Space",
  "mcpServers": {
    "filesystem": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/Users/ada/Desktop"]
    },
    "github": {
      "command": "docker",
      "args": ["run", "-i", "--rm", "-e", "GITHUB_PERSONAL_ACCESS_TOKEN", "ghcr.io/github/github-mcp-server"],
      "env": {"GITHUB_PERSONAL_ACCESS_TOKEN": "ghp_0123456789"}
    }
  }
}
"""
CLAUDE_CODE = """{
  "numStartups": 42,
  "tipsHistory": {"new-user-warmup": 3, "ünïcode": "✓ \\u2713"},
  "projects": {
    "/home/ada/code": {
      "allowedTools": [],
      "history": [{"display": "what is { \\"mcpServers\\": {} } // not a comment", "pastedContents": {}}],
      "mcpServers": {},
      "hasTrustDialogAccepted": true
    }
  },
  "userID": "0123456789abcdef"
}"""
CURSOR = """{
\t"mcpServers": {
\t\t"linear": { "url": "https://mcp.linear.app/sse" }
\t}
}
"""
VSCODE = """{
\t// Asked for once, kept by VS Code.
\t"inputs": [
\t\t{ "type": "promptString", "id": "pplx", "description": "Perplexity key", "password": true },
\t],
\t"servers": {
\t\t"perplexity": {
\t\t\t"type": "stdio",
\t\t\t"command": "npx",
\t\t\t"args": ["-y", "server-perplexity-ask"],
\t\t\t"env": { "PERPLEXITY_API_KEY": "${input:pplx}" },
\t\t}, // keep this one
\t},
}
"""
WINDSURF = '{"mcpServers": {}}'
ZED = """// Zed settings
//
// To see all of Zed's default settings, open the command palette.
{
  "theme": {
    "mode": "system",
    "light": "One Light", /* for
                             the day */
    "dark": "One Dark",
  },
  "vim_mode": true,
  "lsp": { "rust-analyzer": { "initialization_options": { "check": { "command": "clippy" } } } },
  "context_servers": {
    "mcp-server-github": {
      "source": "extension",
      "settings": {} // none needed
    }
    // the next one goes here
  },
  "buffer_font_size": 15
}
"""
CLINE = """{
    "mcpServers": {
        "sqlite": {
            "disabled": true,
            "timeout": 60,
            "command": "uvx",
            "args": ["mcp-server-sqlite", "--db-path", "test.db"],
            "type": "stdio"
        }
    }
}""".replace("\n", "\r\n")
CODEX = """model = "gpt-5"   # the big one
approval_policy = "on-request"
notify = [
  "python3", # a comment
  "[mcp_servers.runapi]",
]

[mcp_servers.context7]
command = "npx"
args = ["-y", "@upstash/context7-mcp"]

# Not a table:
# [mcp_servers.runapi]

[profiles.night]
model = "o3"
instructions = \"\"\"
[mcp_servers.runapi]
is only text here
\"\"\"
"""
GEMINI_CLI = """{
  "security": {"auth": {"selectedType": "oauth-personal"}},
  // Mine.
  "theme": "GitHub"
}
"""
GOOSE = """# written by hand
GOOSE_PROVIDER: anthropic   # may change
GOOSE_MODEL: "claude-sonnet-4-5"
extensions:
  developer:
    bundled: true
    display_name: Developer
    enabled: true
    name: developer
    timeout: 300
    type: builtin
  fetch:
    args:
    - mcp-server-fetch
    cmd: uvx
    description: 'A description that is long enough that an emitter of the usual width folds it in two'
    enabled: true
    envs: {}
    name: fetch
    type: stdio

# about the rest
GOOSE_MODE: smart_approve
"""
OPENCODE = """{
  "$schema": "https://opencode.ai/config.json",
  "provider": { "anthropic": { "options": { "apiKey": "{env:ANTHROPIC_API_KEY}" } } },
  "mcp": {
    "jira": { "type": "remote", "url": "https://jira.example.com/mcp", "enabled": true }, // work
  }
}
"""

SAMPLES: Final = {
    "claude-desktop": CLAUDE_DESKTOP,
    "claude-code": CLAUDE_CODE,
    "cursor": CURSOR,
    "vscode": VSCODE,
    "windsurf": WINDSURF,
    "zed": ZED,
    "cline": CLINE,
    "codex": CODEX,
    "gemini-cli": GEMINI_CLI,
    "goose": GOOSE,
    "opencode": OPENCODE,
}
"""One for each host."""

JSON_EDGES: Final = [
    "{}",
    "{ }\n",
    "{\n}\n",
    '{"mcpServers":{}}',
    '{"mcpServers": {\n  }\n}',
    '{"mcpServers":{"a":{"command":"x"}}}',
    '{ "mcpServers": { "a": {} } }',
    '\ufeff{\n  "mcpServers": {\n    "a": {}\n  }\n}\n',
    '{\r\n  "a": 1\r\n}\r\n',
    '{"a": [1, 2.5e3, -0, true, null, "\\"}"]}',
    "",
    "\n",
    " \r\n",
]
JSONC_EDGES: Final = [
    "// only a comment\n{}\n",
    '{ // first\n  "a": 1 // last\n  /* end */ }',
    '{\n  "mcpServers": { /* none yet */ }\n}\n',
    '{\n  "mcpServers": {\n    // none yet\n  }\n}\n',
    '{\n  "mcpServers": {\n    "a": {}, // trailing\n    // more\n  },\n}\n',
    '{\n  "mcpServers": {\n    "a": {} // last, no comma\n    /* and this */\n  }\n}\n',
    '{"mcpServers": {"a": {},}}',
    '{"mcpServers": {"a": {} /* , */}}',
]
TOML_EDGES: Final = [
    "",
    "\n",
    'model = "x"',
    'model = "x"\n\n\n',
    "# only a comment",
    '[mcp_servers.a]\ncommand = "x"\n# tail\n',
    '[mcp_servers]\n[mcp_servers."with space"]\ncommand = "x"\n',
    'mcp_servers.a.command = "x"\n',
    'model = "x"\r\n[a]\r\nb = 1\r\n',
    "a = '''\n[mcp_servers.runapi]\n'''\n",
]
YAML_EDGES: Final = [
    "",
    "GOOSE_MODEL: x",
    "GOOSE_MODEL: x\n",
    "extensions:\n",
    "extensions: {}\nGOOSE_MODEL: x\n",
    "extensions: {} # none yet\n",
    "extensions:   # none yet\nGOOSE_MODEL: x\n",
    "extensions: {a: {cmd: x}}\n",
    "extensions:\n    a:\n        cmd: x\n",
    "extensions:\n  a:\n    cmd: x",
    "extensions:\n  a:\n    description: |\n      two\n      lines\n\nGOOSE_MODEL: x\n",
    "extensions:\n  a:\n    args: [x,\n      y]\n  # done\n",
    "extensions:\r\n  a:\r\n    cmd: x\r\nb: 1\r\n",
    "extensions:\n  a: &a\n    cmd: x\n  b: *a\nz: 1\n",
]
