// Copyright (c) 2026 frugal.cloud contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;

/** The sample service in Java: /order asks /stock over HTTP. It knows nothing of tracing. */
public final class App {
    private static final int PORT = Integer.parseInt(System.getenv().getOrDefault("SAMPLE_PORT", "8001"));
    private static final HttpClient CLIENT = HttpClient.newHttpClient();

    private App() {}

    public static void main(String[] arguments) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", PORT), 0);
        server.createContext("/order", App::order);
        server.createContext("/stock", exchange -> answer(exchange, 200, "{\"item\": \"book\", \"left\": 4}"));
        server.createContext("/health", exchange -> answer(exchange, 200, "{\"status\": \"up\"}"));
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.start();
    }

    private static void order(HttpExchange exchange) throws IOException {
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + PORT + "/stock")).build();
        try {
            HttpResponse<String> stock = CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
            answer(exchange, stock.statusCode(), stock.body());
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
            answer(exchange, 502, "{\"error\": \"interrupted\"}");
        }
    }

    private static void answer(HttpExchange exchange, int status, String body) throws IOException {
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(status, bytes.length);
        exchange.getResponseBody().write(bytes);
        exchange.close();
    }
}
