// A program that knows the API by nothing but the types which openapi-typescript wrote from /openapi.json.
//
// The last arguments are the address of the server, and the username and the password of an administrator. It fails
// where the types don't fit, or where an answer isn't what its type says.
import createClient from "openapi-fetch";
import type { components, paths } from "./openapi.js";

declare const process: { argv: string[] };
type Problem = components["schemas"]["Problem"];
type User = components["schemas"]["User"];

const [baseUrl, username, password] = process.argv.slice(-3) as [string, string, string];
const guest = createClient<paths>({ baseUrl });

function must(holds: boolean, what: unknown): asserts holds {
  if (!holds) throw new Error(JSON.stringify(what));
}

const wrong = await guest.POST("/api/v1/auth/login", { body: { username, password: `not ${password}` } });
const problem: Problem | undefined = wrong.error;
must(problem?.code === "invalid_credentials" && problem.status === 401, wrong.error);

const tokens = await guest.POST("/api/v1/auth/login", { body: { username, password, device_name: "types" } });
must(tokens.data !== undefined, tokens.error);
const me = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${tokens.data.access_token}` } });

const users = await me.GET("/api/v1/users", { params: { query: { sort: "username", role: "admin", limit: 1 } } });
must(users.data !== undefined, users.error);
const first: User | undefined = users.data.data[0];
must(first?.role === "admin" && first.locked_until === null, users.data);

const one = await me.GET("/api/v1/users/{id}", { params: { path: { id: first.id } } });
must(one.data?.username === first.username && one.response.headers.has("etag"), one);

const refused = await me.POST("/api/v1/users", { body: { username: first.username, email: first.email, role: "user" } });
must(refused.error?.code === "taken" && refused.error.errors?.[0]?.field === "username", refused.error);

// @ts-expect-error A role that there is not does not even compile.
const nonsense = await me.GET("/api/v1/users", { params: { query: { role: "emperor" } } });
must(nonsense.error?.code === "invalid", nonsense.error);

const out = await me.POST("/api/v1/auth/logout", { body: {} });
must(out.response.status === 204, out.error);
must((await me.GET("/api/v1/me")).error?.code === "invalid_token", "signed out");
console.log("signed out");
