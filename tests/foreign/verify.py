"""A service that isn't ours and checks our tokens with PyJWT.

The last argument says what it expects, as JSON: issuer, audience, algorithm, and either jwks (a URL) or secret. Each
line of input is a token; each line of output is "good <subject>" or "refused <why>".
"""

import json
import sys

import jwt

expected = json.loads(sys.argv[-1])
keys = jwt.PyJWKClient(expected["jwks"]) if "jwks" in expected else None


def check(token):
    whole = jwt.decode_complete(
        token,
        keys.get_signing_key_from_jwt(token) if keys else expected["secret"],
        algorithms=[expected["algorithm"]],
        audience=expected["audience"],
        issuer=expected["issuer"],
        options={"require": ["exp", "iat", "nbf", "iss", "aud", "sub"]},
    )
    if whole["header"].get("typ") != "at+jwt":
        raise jwt.InvalidTokenError("not an access token")
    return whole["payload"]["sub"]


for line in sys.stdin:
    try:
        print("good", check(line.strip()), flush=True)
    except jwt.PyJWTError as error:
        print("refused", type(error).__name__, error, flush=True)
