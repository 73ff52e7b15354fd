// better-auth's SCIM plugin, all of its own behaviour: filters by a few
// attributes, pages of 100, no bulk. Every name in the path is an empty service
// of its own, made when it is first asked for.
import http from "node:http";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { getAuthTables } from "better-auth/db";
import { toNodeHandler } from "better-auth/node";
import { scim } from "@better-auth/scim";
import { ready } from "./ready.mjs";

const token = "canary-better-auth-token-0123456789";
const services = new Map();

function service(name, port) {
  if (!services.has(name)) {
    const options = {
      baseURL: `http://127.0.0.1:${port}`,
      basePath: `/${name}`,
      secret: "only-for-tests-0123456789-0123456789",
      telemetry: { enabled: false },
      logger: { level: "error" },
      rateLimit: { enabled: false },
      plugins: [scim({ connections: [{ id: "tests", credentials: [{ type: "bearer", id: "key", token }] }] })],
    };
    const tables = {};
    for (const table of Object.values(getAuthTables(options))) tables[table.modelName] = [];
    services.set(name, toNodeHandler(betterAuth({ ...options, database: memoryAdapter(tables) })));
  }
  return services.get(name);
}

const server = http.createServer((request, response) => {
  service(request.url.split("/")[1], server.address().port)(request, response);
});
ready(server, (port) => ({ url: `http://127.0.0.1:${port}/{tenant}/scim/v2`, token }));
