"""Makes Schemathesis a client of ours: it signs in as ACCOUNT, and knows the passwords and tokens that it can't guess.

What the document can't say, schemathesis.toml tells with the reasons; here is what the answers say then.

Writes to CALLS, as JSON, how often each operation had which status.
"""

import atexit
import collections
import json
import os
import pathlib
import random
import secrets

import requests
import schemathesis
from schemathesis.generation import GenerationMode

URL = os.environ["SERVER"]
ACCOUNT = {"username": os.environ["ACCOUNT"], "password": os.environ["PASSWORD"]}
calls = collections.Counter()


def sign_in():
    return requests.post(f"{URL}/api/v1/auth/login", json=ACCOUNT, timeout=30).json()


ME = sign_in()["user"]


@schemathesis.auth(refresh_interval=None)
class Bearer:
    """A token that is good: where an earlier call has ended its session, a new one."""

    def __init__(self):
        self.token = sign_in()["access_token"]

    def get(self, case, context):
        answer = requests.get(f"{URL}/api/v1/whoami", headers={"Authorization": f"Bearer {self.token}"}, timeout=30)
        if answer.status_code == 401:
            self.token = sign_in()["access_token"]
        return self.token

    def set(self, case, data, context):
        case.headers["Authorization"] = f"Bearer {data}"


def newcomer():
    """A fresh account, that may be changed, suspended and deleted."""
    unique = secrets.token_hex(9)
    body = {"username": f"n{unique}", "email": f"n{unique}@example.com", "password": ACCOUNT["password"]}
    return requests.post(f"{URL}/api/v1/auth/register", json=body, timeout=30).json()


def right_id(path):
    """The id of something that is there, and whose loss doesn't end the run."""
    account = newcomer()
    return account["session_id"] if path.startswith("/api/v1/sessions/") else account["user"]["id"]


def right(path):
    """What is right in a body for this path."""
    if path == "/api/v1/users":
        unique = secrets.token_hex(9)
        return {"username": f"u{unique}", "email": f"{unique}@example.com", "name": None, "role": "user"}
    if path == "/api/v1/users/{id}":
        unique = secrets.token_hex(9)
        return {"username": f"u{unique}", "email": f"{unique}@example.com"}
    if path == "/api/v1/sessions/revoke":
        return {"user_id": newcomer()["user"]["id"]}
    if path == "/api/v1/auth/login":
        return ACCOUNT
    if path == "/api/v1/auth/confirm":
        return {"password": ACCOUNT["password"]}
    unique = secrets.token_hex(9)  # Hypothesis makes `random` repeat itself
    if path == "/api/v1/auth/register":
        return {"username": f"u{unique}", "email": f"{unique}@example.com", "password": ACCOUNT["password"]}
    if path == "/api/v1/me/password":
        return {"current_password": ACCOUNT["password"], "new_password": f"{unique} by the weir"}
    if path in ("/api/v1/auth/refresh", "/api/v1/auth/logout"):
        return {"refresh_token": sign_in()["refresh_token"]}
    if path == "/oauth/token":
        return {"grant_type": "refresh_token", "refresh_token": sign_in()["refresh_token"]}
    if path in ("/oauth/revoke", "/oauth/introspect"):
        return {"token": sign_in()[random.choice(["access_token", "refresh_token"])]}
    return {}


LISTS = ["list_audit_events", "list_keys", "list_my_activity", "list_my_sessions", "list_sessions"]
LISTS += ["list_user_sessions", "list_users"]
UNSAFE_PASSWORDS = {"too_common", "too_short", "too_similar", "too_weak"}
# By operation: field and code that may stand in a 422 to what the document calls valid.
NAMED = collections.defaultdict(set) | {operation: {("cursor", "invalid"), ("q", "too_long")} for operation in LISTS}
NAMED |= {operation: {("email", "invalid")} for operation in ("create_user", "register", "update_me", "update_user")}
NAMED["register"] |= {("password", code) for code in UNSAFE_PASSWORDS}
NAMED["change_my_password"] |= {("new_password", code) for code in UNSAFE_PASSWORDS}
NAMED["update_me"] |= {("current_password", "required")}
NAMED["revoke_sessions"] |= {("user_id", "unknown")}


def is_named(operation, error, case):
    named = (error["field"], error["code"]) in NAMED[operation]
    return named and (error["field"] != "email" or "xn--" in case.body["email"].lower())


@schemathesis.check
def refusals_are_named(ctx, response, case):
    """Valid data is refused for a reason that schemathesis.toml names."""
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return True
    operation = case.operation.definition.raw["operationId"]
    if response.status_code == 422:
        others = [error for error in response.json()["errors"] if not is_named(operation, error, case)]
        assert not others, f"Valid data was refused for no reason that is named: {others}"
    if response.status_code == 400:
        assert response.json().get("error") == "invalid_grant", f"Valid data can't be read: {case.headers}"
    if response.status_code == 412:
        assert "If-Match" in case.headers, "What was not asked for was not met"


@schemathesis.hook
def before_call(context, case, kwargs):
    """Two of three bodies that follow the schema get what is right in the place of texts. What breaks it stays broken."""
    follows = case.meta is None or case.meta.generation.mode == GenerationMode.POSITIVE
    path = case.operation.path
    if follows and case.headers.get("If-Match") in ("", "0"):
        # What Schemathesis writes where it can draw no header by its pattern, and takes for valid.
        del case.headers["If-Match"]
    if "{id}" in path and not path.startswith("/api/v1/me/") and ME["role"] != "user":
        # Never the own account, which a list may have told.
        if case.path_parameters.get("id") == ME["id"] or (follows and random.random() < 2 / 3):
            case.path_parameters["id"] = right_id(path)
            case.headers.pop("If-Match", None)
    if not follows or not isinstance(case.body, dict) or random.random() < 1 / 3:
        return
    if path == "/api/v1/sessions/revoke":
        case.body = right(path)
    known = right(case.operation.path)
    case.body = case.body | {name: value for name, value in known.items() if isinstance(case.body.get(name), str)}


@schemathesis.hook
def after_call(context, case, response):
    calls[f"{case.operation.label} {response.status_code}"] += 1
    if case.operation.path == "/api/v1/me/password" and response.status_code == 204:
        ACCOUNT["password"] = case.body["new_password"]


atexit.register(lambda: pathlib.Path(os.environ["CALLS"]).write_text(json.dumps(calls)))
