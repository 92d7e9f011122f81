// A service that isn't ours and checks our tokens with jose.
//
// The last argument says what it expects, as JSON: issuer, audience, algorithm, and either jwks (a URL) or secret. Each
// line of input is a token; each line of output is "good <subject>" or "refused <why>".
import { createInterface } from "node:readline";
import { createRemoteJWKSet, jwtVerify } from "jose";

const { issuer, audience, algorithm, jwks, secret } = JSON.parse(process.argv.at(-1));
const key = jwks ? createRemoteJWKSet(new URL(jwks)) : new TextEncoder().encode(secret);
const expected = { issuer, audience, algorithms: [algorithm], typ: "at+jwt" };

for await (const token of createInterface({ input: process.stdin })) {
  try {
    const { payload } = await jwtVerify(token, key, expected);
    console.log(`good ${payload.sub}`);
  } catch (error) {
    console.log(`refused ${error.code} ${error.message}`);
  }
}
