import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp.errors import KeyMissing, SettingsError
from runapi_mcp.settings import Settings, for_host, from_env, options

CANARY = "sk-canary-0123456789"


def key_of(env: dict[str, str]) -> str:
    return from_env(env).need_key().get_secret_value()


def test_nothing_set_gives_the_defaults_and_no_key() -> None:
    settings = from_env({})
    assert settings == Settings()
    assert settings.base_url == "https://runapi.ai"
    assert settings.chat_path == "auto"
    assert settings.chat_paths == ("/v1beta/openai", "/v1")
    with pytest.raises(KeyMissing, match=r"No RunAPI key is set\. Get a key"):
        settings.need_key()


def test_a_model_that_thinks_in_silence_for_ten_minutes_has_not_stalled() -> None:
    settings = from_env({})
    assert settings.idle_timeout == 900
    assert settings.idle_timeout < settings.deadline


def test_the_key_is_read_from_its_name_before_its_alias() -> None:
    assert key_of({"RUNAPI_API_KEY": "alias-key"}) == "alias-key"
    assert key_of({"RUNAPI_API_KEY": "alias-key", "RUNAPI_TOKEN": " token-key\n"}) == "token-key"
    assert key_of({"RUNAPI_API_KEY": "alias-key", "RUNAPI_TOKEN": "  "}) == "alias-key"


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (f"{CANARY} x", "a space or a line break"),
        (f"{CANARY}\nx", "a space or a line break"),
        (f"{CANARY}é", "not ASCII"),
        (f"{CANARY}\x00", "a control character"),
        ("${RUNAPI_TOKEN}", "did not fill in"),
        ("$(cat key)", "did not fill in"),
        ("$RUNAPI_TOKEN", "did not fill in"),
        ("$env:RUNAPI_TOKEN", "did not fill in"),
        ("%RUNAPI_TOKEN%", "did not fill in"),
        ("{env:RUNAPI_TOKEN}", "did not fill in"),
        ("${env:RUNAPI_TOKEN}", "did not fill in"),
        ("${input:key}", "did not fill in"),
        ("{{RUNAPI_TOKEN}}", "did not fill in"),
        ("<your key>", "did not fill in"),
        ("YOUR_RUNAPI_TOKEN", "a placeholder"),
        ("your-api-key-here", "a placeholder"),
        ("my-api-key", "a placeholder"),
        ("xxxxxxxx", "a placeholder"),
        ("sk-...", "a placeholder"),
        ('"$RUNAPI_TOKEN"', "did not fill in"),
        (f'"{CANARY}"', "in quotes"),
        (f"“{CANARY}”", "in quotes"),
        (f"AIza{CANARY}", "a key of Google's"),
        ("undefined", "a placeholder"),
        ("None", "a placeholder"),
        (f"op://vault/{CANARY}/key", "did not fill in"),
        (f"RUNAPI_TOKEN={CANARY}", "a variable's name"),
        (f"export RUNAPI_API_KEY={CANARY}", "a variable's name"),
        (f"Bearer {CANARY}", "a header"),
        (f"Authorization: Bearer {CANARY}", "a header"),
        (f"\ufeff{CANARY}", r"U\+FEFF"),
        (f"{CANARY[:4]}\u200b{CANARY[4:]}", r"U\+200B"),
    ],
)
def test_a_key_that_cannot_be_used_is_told_at_the_first_call_without_being_shown(
    key: str, problem: str
) -> None:
    settings = from_env({"RUNAPI_TOKEN": key})
    with pytest.raises(KeyMissing, match=problem) as raised:
        settings.need_key()
    assert CANARY not in f"{raised.value} {settings!r}"


def test_a_reference_under_one_name_does_not_hide_a_key_under_the_other() -> None:
    assert key_of({"RUNAPI_TOKEN": "${RUNAPI_TOKEN}", "RUNAPI_API_KEY": CANARY}) == CANARY


def test_a_long_key_is_judged_at_once() -> None:
    assert from_env({"RUNAPI_TOKEN": "my_" + "a_" * 5_000}).key is not None


REFERENCES = ("${X}", "$X", "%X%", "{env:X}", "${env:X}", "${user_config.x}", "{{X}}", "<fill in>", '"${X}"')


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize(
    "name", ["MODEL", "SEARCH_MODEL", "DIALECT", "HOLD", "LOG", "LOG_CONTENT", "KEYRING"]
)
def test_a_reference_in_a_setting_of_taste_counts_as_not_set_where_a_host_starts_the_server(
    name: str, reference: str
) -> None:
    env = {f"RUNAPI_MCP_{name}": reference, "RUNAPI_MCP_MAX_RUNNING": "3"}
    assert for_host(env) == Settings(max_running=3)
    with pytest.raises(SettingsError, match=f"RUNAPI_MCP_{name}"):
        from_env(env)


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize(
    "name",
    [
        *("RUNAPI_MCP_MAX_RUNNING", "RUNAPI_MCP_DEADLINE", "RUNAPI_MCP_ALLOW_DIR", "RUNAPI_BASE_URL"),
        *("RUNAPI_MCP_STORE", "RUNAPI_CHAT_PATH", "RUNAPI_MCP_MAX_TOKENS_PER_DAY"),
    ],
)
def test_a_reference_in_a_limit_or_a_place_is_told_by_a_server_that_came_up(
    name: str, reference: str
) -> None:
    settings = for_host({name: reference, "RUNAPI_MCP_HOLD": "5"})
    assert settings.hold == 5
    assert settings.problem.startswith(f"{name} is ")
    with pytest.raises(SettingsError, match=name):
        from_env({name: reference})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RUNAPI_MCP_ALLOW_DIR", "${HOME}/docs"),
        ("RUNAPI_MCP_ALLOW_DIR", "/srv,$HOME/docs"),
        ("RUNAPI_MCP_ALLOW_DIR", "%USERPROFILE%\\docs"),
        ("RUNAPI_MCP_ALLOW_DIR", "/srv/{env:PROJECT}"),
        ("RUNAPI_BASE_URL", "https://${RUNAPI_HOST}"),
        ("RUNAPI_MCP_STORE", "redis://:${REDIS_PASSWORD}@cache:6379"),
    ],
)
def test_a_reference_inside_a_place_is_one_too(name: str, value: str) -> None:
    assert "did not fill in" in for_host({name: value}).problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RUNAPI_MCP_ALLOW_DIR", "~/a $5 note,C:\\100%"),
        ("RUNAPI_MCP_STORE", "redis://:$ecret%ABCD%21@cache:6379"),
        ("RUNAPI_BASE_URL", "https://runapi.ai/a%20b"),
    ],
)
def test_a_dollar_or_a_percent_sign_alone_is_no_reference(name: str, value: str) -> None:
    assert for_host({name: value}).problem == ""


@pytest.mark.parametrize(
    "url",
    [
        *("redis://cache:99999", "redis://cache:port/0", "redis://[::1/0", "redis://"),
        *("redis://:p@ss#w@cache:6379/0", "redis://:pass#@cache:6379/0", "redis://ann:12/34@cache:6379/0"),
        *("redis://ann:12?34@cache:6379/0", "redis://s3cret?x@cache:6379/0"),
    ],
)
def test_a_store_that_cannot_be_reached_by_its_url_is_told_at_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match=r"RUNAPI_MCP_STORE.*redis://"):
        from_env({"RUNAPI_MCP_STORE": url})


def test_every_bad_value_is_told_at_once() -> None:
    problem = for_host({"RUNAPI_MCP_HOLD": "soon", "RUNAPI_MCP_LOG": "loud"}).problem
    assert [line.split(" is ")[0] for line in problem.splitlines()] == ["RUNAPI_MCP_HOLD", "RUNAPI_MCP_LOG"]


@given(st.text(max_size=30))
def test_any_key_is_taken_or_told_never_raised(key: str) -> None:
    settings = from_env({"RUNAPI_TOKEN": key})
    assert settings.key is None or settings.key.get_secret_value() == key.strip()


def test_a_key_is_in_no_repr() -> None:
    assert CANARY not in repr(from_env({"RUNAPI_TOKEN": CANARY}))


# ---------------------------------------------------------------- Google's names

PAIR = {"GOOGLE_API_KEY": "google-name-key", "GOOGLE_GENAI_BASE_URL": "https://runapi.ai/"}


def test_googles_names_count_together_only() -> None:
    settings = from_env(PAIR)
    assert settings.need_key().get_secret_value() == "google-name-key"
    assert settings.base_url == "https://runapi.ai"
    for name in PAIR:
        assert from_env({name: PAIR[name]}) == Settings()


@pytest.mark.parametrize(
    "base",
    [
        "https://generativelanguage.googleapis.com",
        "https://GENERATIVELANGUAGE.googleapis.com./",
        "https://googleapis.com",
        "https://ai.google.com/v1",
    ],
)
def test_a_real_google_key_is_never_used(base: str) -> None:
    assert from_env(PAIR | {"GOOGLE_GENAI_BASE_URL": base}) == Settings()


def test_runapis_own_names_win_over_googles() -> None:
    assert key_of(PAIR | {"RUNAPI_TOKEN": "own-key"}) == "own-key"
    assert from_env(PAIR | {"RUNAPI_TOKEN": "own-key"}).base_url == "https://runapi.ai"
    assert from_env(PAIR | {"RUNAPI_BASE_URL": "https://other.example"}).key is None


@pytest.mark.parametrize("base", ["https://[", "ftp://runapi.ai", "runapi.ai"])
def test_googles_base_url_is_checked_like_our_own(base: str) -> None:
    with pytest.raises(SettingsError, match="GOOGLE_GENAI_BASE_URL is"):
        from_env(PAIR | {"GOOGLE_GENAI_BASE_URL": base})


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://runapi.ai/", "https://runapi.ai"),
        ("HTTPS://runapi.ai:8443/base//", "HTTPS://runapi.ai:8443/base"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9"),
        ("http://localhost:9", "http://localhost:9"),
        ("http://[::1]:9", "http://[::1]:9"),
        ("https://runapi.ai/v1", "https://runapi.ai"),
        ("https://runapi.ai/v1beta/openai/", "https://runapi.ai"),
        ("https://runapi.ai/v1/chat/completions", "https://runapi.ai"),
        ("https://runapi.ai/v1beta/models/gemini-2.5-flash:generateContent", "https://runapi.ai"),
        ("https://relay.example/gemini/v1", "https://relay.example/gemini"),
        ("https://relay.example/v1/account", "https://relay.example/v1/account"),
        ("https://relay.example/dev1", "https://relay.example/dev1"),
        ('"https://runapi.ai"', "https://runapi.ai"),
    ],
)
def test_a_base_url_is_https_or_this_machine(text: str, url: str) -> None:
    assert from_env({"RUNAPI_BASE_URL": text}).base_url == url


@pytest.mark.parametrize(
    "text",
    [
        "http://runapi.ai", "http://127.0.0.1.evil.example", "ftp://runapi.ai", "runapi.ai", "https://", "https://[",
        "https://runapi.ai:port", "https://runapi.ai:99999", "https://runapi.ai:0", "https://user@runapi.ai",
        "https://runapi.ai?x", "https://runapi.ai?", "https://runapi.ai#", "https://run api.ai", "https://run\tapi.ai",
        "https://runapi.ai\\@evil.example", "https://runapi.ai/\u202e",
    ],
)  # fmt: skip
def test_any_other_base_url_is_refused_with_what_would_be_right(text: str) -> None:
    with pytest.raises(SettingsError, match=r"RUNAPI_BASE_URL is .* It takes an? .*URL"):
        from_env({"RUNAPI_BASE_URL": text})


@pytest.mark.parametrize(
    ("env", "text", "name", "value"),
    [
        ("RUNAPI_MCP_LOG", "DEBUG", "log", "debug"),
        ("RUNAPI_MCP_DIALECT", "Native", "dialect", "native"),
        ("RUNAPI_MCP_MODEL", "models/gemini-2.5-flash", "model", "gemini-2.5-flash"),
        ("RUNAPI_MCP_SEARCH_MODEL", "google/gemini-2.5-flash", "search_model", "gemini-2.5-flash"),
        ("RUNAPI_CHAT_PATH", "/v1/chat/completions", "chat_path", "/v1"),
        ("RUNAPI_MCP_HOLD", "'40'", "hold", 40.0),
        ("RUNAPI_MCP_ALLOW_DIR", '"/srv/a b"', "allow_dirs", ("/srv/a b",)),
        ("RUNAPI_MCP_MODEL", '""', "model", "auto"),
    ],
)
def test_what_is_meant_beyond_doubt_is_taken(env: str, text: str, name: str, value: object) -> None:
    """Quotes are what Docker's --env-file leaves around a value; the rest is as other programs write it."""
    assert getattr(from_env({env: text}), name) == value


def test_a_key_that_is_nothing_but_quotes_is_none() -> None:
    assert key_of({"RUNAPI_TOKEN": '""', "RUNAPI_API_KEY": "alias-key"}) == "alias-key"


def test_a_password_in_a_base_url_is_not_shown() -> None:
    with pytest.raises(SettingsError) as raised:
        from_env({"RUNAPI_BASE_URL": f"https://me:{CANARY}@runapi.ai"})
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize(
    ("env", "text", "wanted"),
    [
        ("RUNAPI_CHAT_PATH", "v1", "auto, or a path such as"),
        ("RUNAPI_CHAT_PATH", "/v1?x", "auto, or a path such as"),
        ("RUNAPI_MCP_MODEL", "other/x", "a model id such as"),
        ("RUNAPI_MCP_SEARCH_MODEL", "x\ny", "a model id such as"),
        ("RUNAPI_MCP_DIALECT", "openai", "one of chat, native"),
        ("RUNAPI_MCP_HOLD", "forever", "auto, or a number from 0 to 3600"),
        ("RUNAPI_MCP_HOLD", "-1", "auto, or a number from 0 to 3600"),
        ("RUNAPI_MCP_IDLE_TIMEOUT", "nan", "a number from 0.05 to 3600"),
        ("RUNAPI_MCP_IDLE_TIMEOUT", "inf", "a number from 0.05 to 3600"),
        ("RUNAPI_MCP_DEADLINE", "soon", "a number from 0.05 to 86400"),
        ("RUNAPI_MCP_MAX_RUNNING", "1.5", "a whole number from 1 to 10000"),
        ("RUNAPI_MCP_MAX_RUNNING", "0", "a whole number from 1 to 10000"),
        ("RUNAPI_MCP_MAX_RUNNING", "9" * 5_000, "a whole number from 1 to 10000"),
        ("RUNAPI_MCP_LOG", "loud", "one of off, info, debug"),
        ("RUNAPI_MCP_LOG_CONTENT", "maybe", "1 or 0"),
    ],
)
def test_a_value_that_is_not_taken_is_named_with_what_would_be(env: str, text: str, wanted: str) -> None:
    with pytest.raises(SettingsError) as raised:
        from_env({env: text})
    assert str(raised.value).startswith(f"{env} is '")
    assert str(raised.value).endswith(f"It takes {wanted}" + str(raised.value).partition(wanted)[2])
    assert wanted in str(raised.value)
    assert len(str(raised.value)) < 250


@pytest.mark.parametrize(
    ("env", "text", "name", "value"),
    [
        ("RUNAPI_CHAT_PATH", "/v1/", "chat_path", "/v1"),
        ("RUNAPI_MCP_HOLD", "auto", "hold", "auto"),
        ("RUNAPI_MCP_HOLD", "12.5", "hold", 12.5),
        ("RUNAPI_MCP_MODEL", "gemini-x", "model", "gemini-x"),
        ("RUNAPI_MCP_DIALECT", "native", "dialect", "native"),
        ("RUNAPI_MCP_ALLOW_DIR", "/a, /b ,\n,/c d", "allow_dirs", ("/a", "/b", "/c d")),
        ("RUNAPI_MCP_LOG_CONTENT", "ON", "log_content", True),
        ("RUNAPI_MCP_LOG_CONTENT", "0", "log_content", False),
        ("RUNAPI_MCP_MAX_WAITING", "0", "max_waiting", 0),
        ("MAX_MCP_OUTPUT_TOKENS", "2000", "max_result_chars", 6_000),
        ("MAX_MCP_OUTPUT_TOKENS", "1", "max_result_chars", 1_000),
        ("MAX_MCP_OUTPUT_TOKENS", "999999", "max_result_chars", 40_000),
        ("MAX_MCP_OUTPUT_TOKENS", "many", "max_result_chars", 40_000),
        ("MAX_MCP_OUTPUT_TOKENS", "9" * 5_000, "max_result_chars", 40_000),
    ],
)
def test_a_value_is_read_into_its_field(env: str, text: str, name: str, value: object) -> None:
    assert dataclasses.asdict(from_env({env: text}))[name] == value


def test_the_hosts_output_limit_lowers_a_configured_page() -> None:
    env = {"RUNAPI_MCP_MAX_RESULT_CHARS": "9000", "MAX_MCP_OUTPUT_TOKENS": "2000"}
    assert from_env(env).max_result_chars == 6_000
    assert from_env(env | {"MAX_MCP_OUTPUT_TOKENS": "5000"}).max_result_chars == 9_000


def test_every_setting_has_one_variable_one_flag_and_a_sentence() -> None:
    found = options()
    named = {option.name for option in found} | {"key", "key_problem", "problem", "working_dir_files"}
    assert named == {field.name for field in dataclasses.fields(Settings)}
    assert len({option.env for option in found}) == len({option.flag for option in found}) == len(found)
    assert all(option.about.endswith(".") and option.flag.startswith("--") for option in found)


@given(env=st.sampled_from([option.env for option in options()]), text=st.text(max_size=30))
def test_any_text_is_a_value_or_a_settings_error(env: str, text: str) -> None:
    try:
        from_env({env: text})
    except SettingsError as error:
        assert error.what.startswith(env)  # noqa: PT017  # either way is right
