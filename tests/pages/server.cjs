// A server for pages: started, ended and started again at the same address.
"use strict";

const { spawn } = require("node:child_process");

class Server {
  // Starts one, and waits for its first line.
  static async start(binary, flags, { listen = "127.0.0.1:0", env = {} } = {}) {
    const words = ["serve", "--listen", listen, "--cores", "0", "--dev", ...flags];
    const child = spawn(binary, words, {
      env: { ...process.env, LLVM_PROFILE_FILE: "/dev/null", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const server = new Server();
    Object.assign(server, { child, said: "" });
    child.stderr.on("data", (text) => { server.said += text; });
    await new Promise((done, failed) => {
      let text = "";
      child.stdout.on("data", (piece) => {
        text += piece;
        const found = /ws:\/\/(\S+)/.exec(text);
        if (found) {
          server.url = `http://${found[1]}`;
          done();
        }
      });
      child.once("exit", () => failed(new Error(server.said)));
    });
    return server;
  }

  end(signal = "SIGTERM") {
    return new Promise((done) => {
      this.child.once("exit", done);
      this.child.kill(signal);
    });
  }
}

module.exports = { Server };
