// Tells the test that started a server where it is, and ends the server with
// the test: its standard input closes then.
export function ready(server, describe) {
  server.listen(0, "127.0.0.1", () => {
    process.stdout.write(JSON.stringify(describe(server.address().port)) + "\n");
  });
  process.stdin.on("end", () => process.exit(0));
  process.stdin.resume();
}
