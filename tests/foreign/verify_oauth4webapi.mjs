// A service that isn't ours and checks our tokens with oauth4webapi, as RFC 9068 asks.
//
// The last argument says what it expects, as JSON: issuer, audience and jwks (a URL). Each line of input is a token; each
// line of output is "good <subject>" or "refused <why>".
import { createInterface } from "node:readline";
import * as oauth from "oauth4webapi";

const { issuer, audience, jwks } = JSON.parse(process.argv.at(-1));
const server = { issuer, jwks_uri: jwks };
const options = { [oauth.allowInsecureRequests]: true };

for await (const token of createInterface({ input: process.stdin })) {
  const request = new Request("https://service.example.org/", { headers: { authorization: `Bearer ${token}` } });
  try {
    const claims = await oauth.validateJwtAccessToken(server, request, audience, options);
    console.log(`good ${claims.sub}`);
  } catch (error) {
    console.log(`refused ${error.code} ${error.message}`);
  }
}
