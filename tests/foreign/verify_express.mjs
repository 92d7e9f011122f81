// A service that isn't ours and checks our tokens with express-oauth2-jwt-bearer, as strictly as it can (RFC 9068).
//
// The last argument says what it expects, as JSON: issuer, audience, algorithm, and either jwks (a URL) or secret. Each
// line of input is a token; each line of output is "good <subject>" or "refused <why>".
import { createInterface } from "node:readline";
import express from "express";
import { auth } from "express-oauth2-jwt-bearer";

const { issuer, audience, algorithm, jwks, secret } = JSON.parse(process.argv.at(-1));
const key = jwks ? { jwksUri: jwks } : { secret };
const app = express();
app.use(auth({ issuer, audience, tokenSigningAlg: algorithm, strict: true, ...key }));
app.get("/", (request, response) => response.send(`good ${request.auth.payload.sub}`));
app.use((error, request, response, next) => response.send(`refused ${error.code} ${error.message}`));

const service = app.listen(0, "127.0.0.1", async () => {
  const address = `http://127.0.0.1:${service.address().port}/`;
  for await (const token of createInterface({ input: process.stdin })) {
    const answer = await fetch(address, { headers: { authorization: `Bearer ${token}` } });
    console.log(await answer.text());
  }
  service.close();
});
