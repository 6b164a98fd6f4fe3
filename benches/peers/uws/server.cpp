// uWebSockets as its examples `EchoServer` and `BroadcastingEchoServer` have it, without
// compression. `cargo xtask bench` compiles it with the sources that a crate ships.

#include <cstring>
#include <iostream>

#include "App.h"

int main(int argc, char **argv) {
    struct PerSocketData {};
    const bool broadcast = argc == 3 && !std::strcmp(argv[2], "broadcast");
    uWS::App app;
    app.ws<PerSocketData>("/*", {
        .compression = uWS::DISABLED,
        .maxPayloadLength = 16 * 1024 * 1024,
        .idleTimeout = 120,
        .maxBackpressure = 100 * 1024 * 1024,
        .closeOnBackpressureLimit = false,
        .resetIdleTimeoutOnSend = false,
        .sendPingsAutomatically = true,
        .upgrade = nullptr,
        .open = [broadcast](auto *ws) {
            if (broadcast) {
                ws->subscribe("all");
            }
        },
        .message = [broadcast, &app](auto *ws, std::string_view message, uWS::OpCode opcode) {
            if (broadcast) {
                app.publish("all", message, opcode, false);
            } else {
                ws->send(message, opcode, false);
            }
        },
    });
    app.listen("127.0.0.1", 0, [](auto *listening) {
        if (listening) {
            const int port = us_socket_local_port(0, (struct us_socket_t *) listening);
            std::cout << "listening on 127.0.0.1:" << port << std::endl;
        }
    });
    app.run();
    return 1;
}
