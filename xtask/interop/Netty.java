// Netty with masks and without: a client that sends what a server echoes, and an echo server; see README.md.
//
//   java Netty.java client unmasked|masked URL...
//   java Netty.java server

import io.netty.bootstrap.Bootstrap;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.handler.codec.http.HttpClientCodec;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.websocketx.BinaryWebSocketFrame;
import io.netty.handler.codec.http.websocketx.CloseWebSocketFrame;
import io.netty.handler.codec.http.websocketx.TextWebSocketFrame;
import io.netty.handler.codec.http.websocketx.WebSocketClientHandshaker;
import io.netty.handler.codec.http.websocketx.WebSocketClientHandshakerFactory;
import io.netty.handler.codec.http.websocketx.WebSocketClientProtocolHandler;
import io.netty.handler.codec.http.websocketx.WebSocketDecoderConfig;
import io.netty.handler.codec.http.websocketx.WebSocketFrame;
import io.netty.handler.codec.http.websocketx.WebSocketServerProtocolConfig;
import io.netty.handler.codec.http.websocketx.WebSocketServerProtocolHandler;
import io.netty.handler.codec.http.websocketx.WebSocketVersion;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

public class Netty {
    static final int MAX = 32 * 1024 * 1024;

    public static void main(String[] arguments) throws Exception {
        NioEventLoopGroup group = new NioEventLoopGroup(1);
        try {
            if (arguments[0].equals("server")) {
                serve(group);
            } else {
                for (int at = 2; at < arguments.length; at++) {
                    boolean masks = arguments[1].equals("masked");
                    System.out.println(connect(group, masks, URI.create(arguments[at])));
                }
            }
        } finally {
            group.shutdownGracefully(0, 1, TimeUnit.SECONDS).sync();
        }
    }

    /** Tells how a connection ended: "closed CODE after N echoes". */
    static String connect(NioEventLoopGroup group, boolean masks, URI uri) throws Exception {
        CompletableFuture<String> ended = new CompletableFuture<>();
        WebSocketClientHandshaker handshaker = WebSocketClientHandshakerFactory.newHandshaker(
                uri, WebSocketVersion.V13, null, false, null, MAX, masks, false);
        Channel channel = new Bootstrap().group(group).channel(NioSocketChannel.class)
                .handler(new ChannelInitializer<SocketChannel>() {
                    @Override
                    protected void initChannel(SocketChannel channel) {
                        channel.pipeline().addLast(new HttpClientCodec(), new HttpObjectAggregator(8192),
                                new WebSocketClientProtocolHandler(handshaker, false), new Talk(ended));
                    }
                })
                .connect(uri.getHost(), uri.getPort()).sync().channel();
        try {
            return ended.get(20, TimeUnit.SECONDS);
        } finally {
            channel.close().sync();
        }
    }

    /** Sends one message after the other, compares the replies, and closes. */
    static class Talk extends SimpleChannelInboundHandler<WebSocketFrame> {
        static final int[] LENGTHS = {5, 125, 126, 65535, 65536, 1024 * 1024};
        final CompletableFuture<String> ended;
        int echoes;
        byte[] sent;

        Talk(CompletableFuture<String> ended) {
            this.ended = ended;
        }

        void send(ChannelHandlerContext context) {
            if (echoes == LENGTHS.length) {
                context.writeAndFlush(new CloseWebSocketFrame(1000, ""));
                return;
            }
            sent = new byte[LENGTHS[echoes]];
            for (int at = 0; at < sent.length; at++) {
                sent[at] = (byte) ('a' + at % 23);
            }
            ByteBuf payload = Unpooled.wrappedBuffer(sent);
            context.writeAndFlush(
                    echoes % 2 == 0 ? new TextWebSocketFrame(payload) : new BinaryWebSocketFrame(payload));
        }

        @Override
        public void userEventTriggered(ChannelHandlerContext context, Object event) {
            if (event == WebSocketClientProtocolHandler.ClientHandshakeStateEvent.HANDSHAKE_COMPLETE) {
                send(context);
            }
        }

        @Override
        protected void channelRead0(ChannelHandlerContext context, WebSocketFrame frame) {
            if (frame instanceof CloseWebSocketFrame) {
                ended.complete("closed " + ((CloseWebSocketFrame) frame).statusCode() + " after " + echoes + " echoes");
            } else if (frame.content().equals(Unpooled.wrappedBuffer(sent))) {
                echoes++;
                send(context);
            } else {
                ended.complete("another message came back than the " + sent.length + " bytes sent");
            }
        }

        @Override
        public void channelInactive(ChannelHandlerContext context) {
            ended.complete("lost after " + echoes + " echoes");
        }

        @Override
        public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
            ended.complete("failed after " + echoes + " echoes: " + cause);
        }
    }

    /** An echo server with allowMaskMismatch, until it is killed. */
    static void serve(NioEventLoopGroup group) throws Exception {
        WebSocketServerProtocolConfig config = WebSocketServerProtocolConfig.newBuilder()
                .websocketPath("/").checkStartsWith(true).handleCloseFrames(false)
                .decoderConfig(WebSocketDecoderConfig.newBuilder()
                        .maxFramePayloadLength(MAX).allowMaskMismatch(true).build())
                .build();
        Channel channel = new ServerBootstrap().group(group).channel(NioServerSocketChannel.class)
                .childHandler(new ChannelInitializer<SocketChannel>() {
                    @Override
                    protected void initChannel(SocketChannel channel) {
                        channel.pipeline().addLast(new HttpServerCodec(), new HttpObjectAggregator(8192),
                                new WebSocketServerProtocolHandler(config), new Echo());
                    }
                })
                .bind("127.0.0.1", 0).sync().channel();
        System.out.println("listening on ws://127.0.0.1:" + ((InetSocketAddress) channel.localAddress()).getPort());
        channel.closeFuture().sync();
    }

    static class Echo extends SimpleChannelInboundHandler<WebSocketFrame> {
        @Override
        protected void channelRead0(ChannelHandlerContext context, WebSocketFrame frame) {
            if (frame instanceof CloseWebSocketFrame) {
                System.out.println("closed " + ((CloseWebSocketFrame) frame).statusCode());
            }
            context.writeAndFlush(frame.retain());
        }
    }
}
