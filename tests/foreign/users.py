"""Users of other systems as lines for `portcullis user import`, each hash made by the system's own library.

The password of all of them is the argument. What a library costs by default it costs here.
"""

import base64
import hashlib
import json
import sys

import argon2
import bcrypt
import django
from django.conf import settings
from passlib.hash import pbkdf2_sha1, pbkdf2_sha256, pbkdf2_sha512, scrypt

HASHERS = {
    "django-pbkdf2": "PBKDF2PasswordHasher",
    "django-sha1": "PBKDF2SHA1PasswordHasher",
    "django-argon2": "Argon2PasswordHasher",
    "django-bcrypt": "BCryptPasswordHasher",
    "django-bcrypt-sha256": "BCryptSHA256PasswordHasher",
    "django-scrypt": "ScryptPasswordHasher",
}
settings.configure(PASSWORD_HASHERS=[f"django.contrib.auth.hashers.{name}" for name in HASHERS.values()])
django.setup()
from django.contrib.auth.hashers import get_hashers  # noqa: E402

password = sys.argv[1]
octets = password.encode()
hashes = {name: hasher.encode(password, hasher.salt()) for name, hasher in zip(HASHERS, get_hashers())}

hashes["bcrypt-2b"] = bcrypt.hashpw(octets, bcrypt.gensalt()).decode()
hashes["bcrypt-2a"] = bcrypt.hashpw(octets, bcrypt.gensalt(prefix=b"2a")).decode()
# PHP writes $2y$ for what others call $2b$.
hashes["bcrypt-2y"] = bcrypt.hashpw(octets, bcrypt.gensalt(10)).decode().replace("$2b$", "$2y$")
hashes["argon2-id"] = argon2.PasswordHasher().hash(password)
hashes["argon2-i"] = argon2.PasswordHasher(type=argon2.Type.I).hash(password)
# Named no version before there was a second one, in what Django and passlib stored then, too.
old = argon2.low_level.hash_secret(octets, b"somesalt", 2, 512, 2, 32, argon2.Type.I, version=16).decode()
hashes["argon2-old"] = old.replace("$v=16", "")
hashes["passlib-scrypt"] = scrypt.hash(password)
hashes["passlib-sha1"] = pbkdf2_sha1.hash(password)
hashes["passlib-sha256"] = pbkdf2_sha256.hash(password)
hashes["passlib-sha512"] = pbkdf2_sha512.hash(password)


def text(octets):
    return base64.b64encode(octets).decode().rstrip("=")


salt = b"sixteen octets.."
key = hashlib.pbkdf2_hmac("sha256", octets, salt, 100_000)
hashes["phc-pbkdf2"] = f"$pbkdf2-sha256$i=100000,l=32${text(salt)}${text(key)}"
key = hashlib.scrypt(octets, salt=salt, n=2**14, r=8, p=1)
hashes["phc-scrypt"] = f"$scrypt$ln=14,r=8,p=1${text(salt)}${text(key)}"

for name, encoded in hashes.items():
    print(json.dumps({"username": name, "email": f"{name}@example.org", "password_hash": encoded}))
