"""Makes Schemathesis a client of ours: it signs in as ACCOUNT, and knows the passwords and tokens that it can't guess.

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


@schemathesis.hook
def before_call(context, case, kwargs):
    """Two of three bodies that follow the schema get what is right in the place of texts. What breaks it stays broken."""
    follows = case.meta is None or case.meta.generation.mode == GenerationMode.POSITIVE
    path = case.operation.path
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
