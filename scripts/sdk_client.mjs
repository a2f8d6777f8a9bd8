// A client of the TypeScript SDK, which holds every structured result to the tool's schema: inspector_check.py runs it.
// Arguments: the SDK's folder, the server, and calls as JSON, [tool, arguments] each; a handle of "last" is the last
// one that a result had. One line of JSON a call.
const [sdk, command, calls] = process.argv.slice(2);
const { Client } = await import(`${sdk}/dist/esm/client/index.js`);
const { StdioClientTransport } = await import(`${sdk}/dist/esm/client/stdio.js`);

const client = new Client({ name: "sdk-check", version: "1" });
await client.connect(new StdioClientTransport({ command, args: [], env: process.env }));
await client.listTools(); // the schemas are kept from here
let last;
for (const [name, given] of JSON.parse(calls)) {
  const told = { tool: name, given };
  try {
    const result = await client.callTool({ name, arguments: given.handle === "last" ? { ...given, handle: last } : given });
    last = /g_[A-Za-z0-9_-]{20,}/.exec(JSON.stringify(result))?.[0] ?? last;
    told.state = result.isError ? "error" : (result.structuredContent?.status ?? "text");
  } catch (error) {
    told.refused = String(error);
  }
  console.log(JSON.stringify(told));
}
await client.close();
