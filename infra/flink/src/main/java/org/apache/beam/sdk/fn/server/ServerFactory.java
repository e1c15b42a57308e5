package org.apache.beam.sdk.fn.server;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.apache.beam.model.pipeline.v1.Endpoints.ApiServiceDescriptor;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.BindableService;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.Server;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.ServerInterceptors;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.netty.NettyServerBuilder;

/**
 * Stands in for Beam's class of this name, which listens on every interface and has no setting for that.
 *
 * <p>Whoever reaches a job server, or a task manager's services for its Python workers, can run code there. These listen
 * on the loopback, or on the address that the property {@code corpusmill.host} names, for a job server that other
 * machines submit to. It has to come before Beam's own on the class path.
 */
public abstract class ServerFactory {
  private static final long KEEP_ALIVE_SECONDS = 20;

  public static ServerFactory createDefault() {
    return new BoundServerFactory(UrlFactory.createDefault(), () -> 0);
  }

  public static ServerFactory createWithUrlFactory(UrlFactory urls) {
    return new BoundServerFactory(urls, () -> 0);
  }

  public static ServerFactory createWithPortSupplier(Supplier<Integer> ports) {
    return new BoundServerFactory(UrlFactory.createDefault(), ports);
  }

  public static ServerFactory createWithUrlFactoryAndPortSupplier(UrlFactory urls, Supplier<Integer> ports) {
    return new BoundServerFactory(urls, ports);
  }

  /** A server on a port of its own choice, whose URL the builder is given. */
  public abstract Server allocateAddressAndCreate(List<BindableService> services, ApiServiceDescriptor.Builder about)
      throws IOException;

  /** A server on the port that the descriptor names. */
  public abstract Server create(List<BindableService> services, ApiServiceDescriptor about) throws IOException;

  /** How a server is reached by those that it tells its address. */
  public interface UrlFactory {
    String createUrl(String host, int port);

    static UrlFactory createDefault() {
      return (host, port) -> host + ":" + port;
    }
  }

  private static final class BoundServerFactory extends ServerFactory {
    private final UrlFactory urls;
    private final Supplier<Integer> ports;

    BoundServerFactory(UrlFactory urls, Supplier<Integer> ports) {
      this.urls = urls;
      this.ports = ports;
    }

    @Override
    public Server allocateAddressAndCreate(List<BindableService> services, ApiServiceDescriptor.Builder about)
        throws IOException {
      Server server = listen(services, ports.get());
      about.setUrl(urls.createUrl(InetAddress.getLoopbackAddress().getHostName(), server.getPort()));
      return server;
    }

    @Override
    public Server create(List<BindableService> services, ApiServiceDescriptor about) throws IOException {
      String url = about.getUrl();
      return listen(services, Integer.parseInt(url.substring(url.lastIndexOf(':') + 1)));
    }

    private static Server listen(List<BindableService> services, int port) throws IOException {
      String host = System.getProperty("corpusmill.host");
      InetAddress address = host == null ? InetAddress.getLoopbackAddress() : InetAddress.getByName(host);
      NettyServerBuilder builder =
          NettyServerBuilder.forAddress(new InetSocketAddress(address, port))
              .maxInboundMessageSize(Integer.MAX_VALUE)
              .permitKeepAliveTime(KEEP_ALIVE_SECONDS, TimeUnit.SECONDS);
      for (BindableService service : services) {
        builder.addService(ServerInterceptors.intercept(service, GrpcContextHeaderAccessorProvider.interceptor()));
      }
      return builder.build().start();
    }
  }
}
