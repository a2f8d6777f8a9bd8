"""Which files hold secrets, by their names: the one list that every way to a file goes by.

Such a file goes to no model because a folder around it may be read: who means it names it, or the secret
folder it is in, as a folder that may be read.
"""

from fnmatch import fnmatchcase
from pathlib import PurePath
from typing import Final

_FOLDERS: Final = frozenset(
    {
        *(".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".oci", ".chef", ".password-store"),
        *("gcloud", "keyrings", "keychains", ".mozilla", ".thunderbird", ".1password", ".secrets"),
        ".git",  # its config may hold tokens in the addresses of remotes
    }
)
_FILES: Final = (
    *(".env", ".env.*", "*.env", ".envrc", ".flaskenv", ".dev.vars"),
    *(".netrc", "_netrc", ".npmrc", ".yarnrc.yml", ".pypirc", ".pgpass", ".my.cnf", ".git-credentials"),
    *(".htpasswd", ".dockercfg", ".boto", ".s3cfg", ".vault-token", ".terraformrc", "credentials.tfrc.json"),
    *("credentials", "credentials.*", ".credentials", ".credentials.*", "client_secret*.json"),
    *("service-account*.json", "service_account*.json", "application_default_credentials.json"),
    *("secrets.json", "secrets.y*ml", "secrets.toml", "secrets.env", "secret.json", "secret.y*ml"),
    *("kubeconfig", "*.kubeconfig", "auth.json", ".claude.json", "master.key", "wallet.dat"),
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*.pem", "*.key", "*.ppk", "*.p8", "*.p12", "*.pfx"),
    *("*.jks", "*.keystore", "*.kdbx", "*.kdb", "*.agekey", "*.gpg", "*.tfstate", "*.tfstate.*", "*.tfvars"),
    *(".bash_history", ".zsh_history", ".python_history", ".psql_history", ".mysql_history"),
)
_HARMLESS: Final = (
    *("*.example", "*.sample", "*.template", "*.dist", "example.env", "sample.env", "template.env"),
    *("credentials.py", "credentials.ts", "credentials.js", "credentials.go", "credentials.rs"),
    *("credentials.md", "credentials.java", "credentials.rb", "*.pub"),
)
"""What is named alike and made to be shared: examples, public keys, code about credentials."""


def is_secret(path: PurePath) -> bool:
    """Whether a file of this name, or a folder that the path names on the way, holds secrets."""
    *folders, name = map(_bare, path.parts or ("",))
    if any(folder in _FOLDERS for folder in (*folders, name)):
        return True
    return _any(name, _FILES) and not _any(name, _HARMLESS)


def _bare(name: str) -> str:
    """Return a name as file systems tell names apart: Windows drops final dots and blanks, and streams."""
    return name.casefold().partition(":")[0].rstrip(". ") or name


def _any(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
