// A JavaScript context inside a desktop: JSON lines in on descriptor 3, JSON lines out on 4.
//
// V8's own REPL mode evaluates the code: top-level await, redeclared let and const, and the value
// of the last expression, as in a browser's console. What the code prints stays on 1 and 2.

"use strict";

const fs = require("fs");
const inspector = require("inspector");
const net = require("net");
const path = require("path");
const { createRequire } = require("module");
const { pathToFileURL } = require("url");
const util = require("util");
const vm = require("vm");

const REQUESTS_FD = 3;
const EVENTS_FD = 4;

const session = new inspector.Session();
session.connect();
let contextId = 1;
session.on("Runtime.executionContextCreated", ({ params }) => (contextId = params.context.id));
session.post("Runtime.enable");

let interrupt = null; // ends the wait for a promise
process.on("SIGINT", () => interrupt?.());
for (const event of ["uncaughtException", "unhandledRejection"])
  process.on(event, (error) => process.stderr.write(util.inspect(error) + "\n"));

function send(event) {
  let data = Buffer.from(JSON.stringify(event) + "\n");
  while (data.length) {
    try {
      data = data.subarray(fs.writeSync(EVENTS_FD, data));
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

function post(method, params) {
  return new Promise((resolve, reject) =>
    session.post(method, params, (error, reply) => (error ? reject(error) : resolve(reply))),
  );
}

// Code is evaluated inside a vm call, which is what makes SIGINT end an endless loop.
function evaluate(expression) {
  let started;
  globalThis[hidden] = () => {
    started = post("Runtime.evaluate", { expression, replMode: true, awaitPromise: true });
  };
  try {
    vm.runInThisContext(`globalThis[Symbol.for("sentient.start")]()`, { breakOnSigint: true });
  } catch (error) {
    return Promise.reject(error);
  }
  return started;
}

const hidden = Symbol.for("sentient.start");
const taken = Symbol.for("sentient.take");
Object.defineProperty(globalThis, hidden, { writable: true, enumerable: false });
Object.defineProperty(globalThis, taken, { writable: true, enumerable: false });

// The value behind the inspector's description of it.
async function valueOf(remote) {
  let value;
  globalThis[taken] = (found) => (value = found);
  const argument = {};
  for (const key of ["objectId", "unserializableValue", "value"])
    if (key in remote) argument[key] = remote[key];
  await post("Runtime.callFunctionOn", {
    functionDeclaration: `function (value) { globalThis[Symbol.for("sentient.take")](value); }`,
    arguments: [argument],
    executionContextId: contextId,
  });
  return value;
}

// Static imports are statements of modules; here each becomes the dynamic import it stands for.
function withImports(code) {
  return code
    .replace(/(?<![.\w$])import\s*\(/g, "__import(")
    .replace(/^([ \t]*)import\s+(["'][^"'\n]+["'])\s*;?/gm, "$1await __import($2);")
    .replace(
      /^([ \t]*)import\s+([\w$]+|\{[^}]*\}|\*\s*as\s+[\w$]+|[\w$]+\s*,\s*\{[^}]*\})\s+from\s+(["'][^"'\n]+["'])\s*;?/gm,
      (_, indent, names, source) => indent + bindings(names.trim(), source),
    );
}

function bindings(names, source) {
  const load = `await __import(${source})`;
  if (names.startsWith("*")) return `var ${names.replace(/^\*\s*as\s+/, "")} = ${load};`;
  const [, first, braces] = /^([\w$]+)?\s*,?\s*(\{[^]*\})?$/.exec(names);
  const parts = braces ? braces.slice(1, -1).replace(/\s+as\s+/g, ": ") : "";
  return `var { ${[first && `default: ${first}`, parts].filter(Boolean).join(", ")} } = ${load};`;
}

async function run(code) {
  const ended = new Promise((_, reject) => {
    interrupt = () => reject(Object.assign(new Error("interrupted"), { name: "Interrupted" }));
  });
  const reply = await Promise.race([evaluate(withImports(code)), ended]);
  if (reply.exceptionDetails) {
    const { exception, text } = reply.exceptionDetails;
    throw exception ? await valueOf(exception) : new Error(text);
  }
  return reply.result.type === "undefined" ? undefined : valueOf(reply.result);
}

function sendError(error) {
  if (error?.code === "ERR_SCRIPT_EXECUTION_INTERRUPTED") error.name = "Interrupted";
  const known = util.types.isNativeError(error);
  send({
    event: "error",
    name: known ? String(error.name) : "Error",
    value: known ? String(error.message) : util.inspect(error),
    traceback: known ? String(error.stack).split(/\n\s+at Session\.post /)[0] : "",
  });
}

function sendResult(value) {
  const data = { "text/plain": util.inspect(value) };
  if (value !== null && typeof value === "object" && !util.types.isProxy(value)) {
    try {
      if (Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype)
        data["application/json"] = JSON.parse(JSON.stringify(value));
    } catch {} // circular, or with BigInts: it has no JSON form
  }
  send({ event: "result", main: true, data });
}

async function execute(request) {
  const kept = {};
  for (const [name, value] of Object.entries(request.env)) {
    kept[name] = process.env[name];
    process.env[name] = value;
  }
  try {
    const value = await run(request.code);
    if (value !== undefined) sendResult(value);
  } catch (error) {
    sendError(error);
  } finally {
    interrupt = null;
    for (const [name, value] of Object.entries(kept))
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
  }
  send({ event: "end" });
}

const here = path.join(process.cwd(), "context.js");
globalThis.require = createRequire(here);
globalThis.__import = (name) =>
  import(/^\.{0,2}\//.test(name) ? pathToFileURL(path.resolve(name)).href : name);

async function main() {
  send({ event: "ready" });
  const requests = new net.Socket({ fd: REQUESTS_FD, readable: true, writable: false });
  let rest = "";
  for await (const chunk of requests.setEncoding("utf8")) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop();
    for (const line of lines) await execute(JSON.parse(line));
  }
  process.exit(0);
}

main();
