"""A program that knows the API by nothing but the client which openapi-python-client wrote from /openapi.json.

The arguments are the address of the server, and the username and the password of an administrator. It fails where an
answer isn't what its type says.
"""

import datetime
import sys

from portcullis_client import AuthenticatedClient, Client
from portcullis_client.api.audit import list_audit_events
from portcullis_client.api.auth import log_in, log_out, refresh_tokens
from portcullis_client.api.me import get_me, list_my_sessions, update_me
from portcullis_client.api.stats import get_stats
from portcullis_client.api.users import create_user, list_users
from portcullis_client.models import (
    AuditEventPage,
    FieldError,
    LoginBody,
    NewUser,
    NewUserBody,
    Problem,
    ProfileBody,
    RefreshBody,
    Role,
    SessionKind,
    SessionPage,
    Stats,
    TokenBody,
    User,
    UserPage,
)

url, username, password = sys.argv[1:]


def expect(kind, answer):
    assert isinstance(answer, kind), answer
    return answer


def problem(answer, status, code):
    found = expect(Problem, answer)
    assert (found.status, found.code, found.type_) == (status, code, "about:blank"), found
    assert found.title and found.detail and found.request_id, found
    return found


def client(tokens):
    return AuthenticatedClient(base_url=url, token=tokens.access_token, raise_on_unexpected_status=True)


# Signs in.
guest = Client(base_url=url, raise_on_unexpected_status=True)
wrong = log_in.sync(client=guest, body=LoginBody(username=username, password=f"not {password}"))
problem(wrong, 401, "invalid_credentials")
body = LoginBody(username=username, password=password, device_name="generated client")
tokens = expect(TokenBody, log_in.sync(client=guest, body=body))
me = client(tokens)

# Reads.
user = expect(User, get_me.sync(client=me))
assert (user.id, user.username, user.role) == (tokens.user.id, username, Role.ADMIN), user
assert user.created_at.tzinfo and user.locked_until is None, user
assert expect(User, update_me.sync(client=me, body=ProfileBody(name="Adele"))).name == "Adele"
assert expect(Stats, get_stats.sync(client=me)).users.total >= 1

# Lists, page by page.
for name in ("bert", "cleo"):
    made = expect(NewUser, create_user.sync(client=me, body=NewUserBody(username=name, email=f"{name}@example.com")))
    assert made.reset_url.startswith(url) and made.user.role == Role.USER, made
names, cursor = [], None
while True:
    page = expect(UserPage, list_users.sync(client=me, limit=1, **({"cursor": cursor} if cursor else {})))
    names += [user.username for user in page.data]
    cursor = page.page.next_cursor
    if cursor is None:
        break
assert names[:2] == ["cleo", "bert"] and username in names, names
session = expect(SessionPage, list_my_sessions.sync(client=me)).data[0]
assert (session.kind, session.device, session.current) == (SessionKind.API, "generated client", True), session
since = user.created_at - datetime.timedelta(days=1)
events = expect(AuditEventPage, list_audit_events.sync(client=me, since=since, until=since.date(), limit=1))
assert events.data == [] and events.page.next_cursor is None, events
events = expect(AuditEventPage, list_audit_events.sync(client=me, since=since))
assert {event.actor.username for event in events.data} >= {username}, events

# Meets problems, and knows the fields that they are about.
taken = problem(create_user.sync(client=me, body=NewUserBody(username="bert", email="b@example.com")), 409, "taken")
assert [expect(FieldError, error).field for error in taken.errors] == ["username"], taken
invalid = problem(list_users.sync(client=me, limit=201), 422, "invalid")
assert [expect(FieldError, error).field for error in invalid.errors] == ["limit"], invalid

# Refreshes: the new tokens are good, and of the same session.
refreshed = refresh_tokens.sync(client=guest, body=RefreshBody(refresh_token=tokens.refresh_token))
refreshed = expect(TokenBody, refreshed)
assert refreshed.session_id == tokens.session_id and refreshed.refresh_token != tokens.refresh_token
me = client(refreshed)
assert expect(User, get_me.sync(client=me)).id == user.id

# Signs out: from now on neither token is good.
signed_out = log_out.sync_detailed(client=me, body=RefreshBody())
assert signed_out.status_code == 204 and signed_out.parsed is None, signed_out
problem(get_me.sync(client=me), 401, "invalid_token")
again = refresh_tokens.sync(client=guest, body=RefreshBody(refresh_token=refreshed.refresh_token))
problem(again, 401, "invalid_refresh_token")
print("signed out")
