// A program that isn't ours and uses its tokens with oauth4webapi: it looks up what the server offers, gets new tokens,
// checks them, has a service ask about them, and gives them back.
//
// The last argument says with what, as JSON: issuer, refresh_token, and service_token, which may introspect. The output is
// one object with what each step answered.
import * as oauth from "oauth4webapi";

const { issuer, refresh_token, service_token } = JSON.parse(process.argv.at(-1));
const options = { [oauth.allowInsecureRequests]: true };
const client = { client_id: "portcullis" };
const nobody = oauth.None();
const service = (server, client, body, headers) => headers.set("authorization", `Bearer ${service_token}`);

const found = await oauth.discoveryRequest(new URL(issuer), { algorithm: "oauth2", ...options });
const server = await oauth.processDiscoveryResponse(new URL(issuer), found);

async function refresh(token) {
  const answer = await oauth.refreshTokenGrantRequest(server, client, nobody, token, options);
  return oauth.processRefreshTokenResponse(server, client, answer);
}

async function introspect(token) {
  const answer = await oauth.introspectionRequest(server, client, service, token, options);
  return oauth.processIntrospectionResponse(server, client, answer);
}

const tokens = await refresh(refresh_token);
const request = new Request("https://service.example.org/", {
  headers: { authorization: `Bearer ${tokens.access_token}` },
});
const claims = await oauth.validateJwtAccessToken(server, request, issuer, options);
const access = await introspect(tokens.access_token);
const refreshed = await introspect(tokens.refresh_token);
const revoked = await oauth.revocationRequest(server, client, nobody, tokens.refresh_token, options);
await oauth.processRevocationResponse(revoked);
const after = await introspect(tokens.access_token);
const error = await refresh(tokens.refresh_token).catch((error) => error.error);
console.log(JSON.stringify({ claims, access, refreshed, after, error }));
