// SCIMMY: the whole of RFC 7644 with bulk. The library leaves storing to its
// user: what is below keeps names and external ids unique, and lets only users
// that exist into groups. The end of the token names an empty service of its
// own.
import http from "node:http";
import { randomUUID } from "node:crypto";
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";
import { ready } from "./ready.mjs";

const token = "canary-scimmy-token-";
const { Attribute, Error: SCIMError, SchemaDefinition } = SCIMMY.Types;

SCIMMY.Config.set({ patch: true, bulk: true, filter: true, sort: true });

// The extension of M-Files Manage, as the directory's maker documents it.
const info = new SchemaDefinition("AdditionalInfo", "urn:ietf:params:scim:schemas:extension:info:2.0:User", "Additional information", [
  new Attribute("string", "info1"),
  new Attribute("string", "info2"),
]);

const services = new Map();
function stores(name) {
  if (!services.has(name)) services.set(name, { User: new Map(), Group: new Map() });
  return services.get(name);
}

function declare(kind, nameAttribute) {
  const Resource = SCIMMY.Resources[kind];
  SCIMMY.Resources.declare(Resource);
  Resource.ingress((resource, data, name) => {
    const own = stores(name);
    const store = own[kind];
    if (resource.id && !store.has(resource.id)) throw new SCIMError(404, null, `no ${kind} ${resource.id}`);
    const next = JSON.parse(JSON.stringify(data));
    for (const [id, other] of store) {
      if (id === resource.id) continue;
      if (other[nameAttribute].toLowerCase() === next[nameAttribute].toLowerCase() || (next.externalId && other.externalId === next.externalId)) {
        throw new SCIMError(409, "uniqueness", `${nameAttribute} or externalId is taken`);
      }
    }
    for (const member of next.members ?? []) {
      if (!own.User.has(member.value)) throw new SCIMError(400, "invalidValue", `no User ${member.value}`);
    }
    const id = resource.id ?? randomUUID();
    const now = new Date();
    const stored = { ...next, id, meta: { created: store.get(id)?.meta?.created ?? now, lastModified: now } };
    store.set(id, stored);
    return stored;
  })
    .egress((resource, name) => {
      const store = stores(name)[kind];
      if (resource.id) {
        if (!store.has(resource.id)) throw new SCIMError(404, null, `no ${kind} ${resource.id}`);
        return store.get(resource.id);
      }
      const all = [...store.values()];
      return resource.filter ? resource.filter.match(all) : all;
    })
    .degress((resource, name) => {
      const own = stores(name);
      if (!own[kind].delete(resource.id)) throw new SCIMError(404, null, `no ${kind} ${resource.id}`);
      for (const group of own.Group.values()) {
        group.members = (group.members ?? []).filter((member) => member.value !== resource.id);
      }
    });
}

SCIMMY.Resources.User.extend(SCIMMY.Schemas.EnterpriseUser);
SCIMMY.Resources.User.extend(info);
declare("User", "userName");
declare("Group", "displayName");

const tenant = (request) => {
  const given = request.header("Authorization") ?? "";
  if (!given.startsWith(`Bearer ${token}`)) throw new Error("the token is not valid");
  return given.slice(`Bearer ${token}`.length);
};
const app = express();
// Express 5 reads the query anew each time, which loses the numbers that the
// routers make of count and startIndex.
app.use((request, _, next) => {
  Object.defineProperty(request, "query", { value: { ...request.query }, writable: true, configurable: true });
  next();
});
app.use("/scim/v2", new SCIMMYRouters({ type: "bearer", handler: tenant, context: tenant }));
ready(http.createServer(app), (port) => ({ url: `http://127.0.0.1:${port}/scim/v2`, token: `${token}{tenant}` }));
