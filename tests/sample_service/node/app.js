// Copyright (c) 2026 frugal.cloud contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
"use strict";

// The sample service in Node: /order asks /stock over HTTP. It knows nothing of tracing.
const http = require("http");

const port = Number(process.env.SAMPLE_PORT || 8002);

function answer(response, status, content) {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(content));
}

function order(response) {
  http
    .get({ host: "127.0.0.1", port, path: "/stock" }, (stock) => {
      stock.resume();
      stock.on("end", () => answer(response, stock.statusCode, { item: "book" }));
    })
    .on("error", (error) => answer(response, 502, { error: error.message }));
}

http
  .createServer((request, response) => {
    if (request.url === "/order") {
      order(response);
    } else if (request.url === "/stock" || request.url === "/health") {
      answer(response, 200, { item: "book", left: 4 });
    } else {
      answer(response, 404, { error: "unknown path" });
    }
  })
  .listen(port, "127.0.0.1");
