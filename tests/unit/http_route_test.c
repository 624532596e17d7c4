/* The way to a server: redirects, proxies, TLS. */
#include "http_test.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- Redirects ---- */

static void redirect(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  char headers[512];
  const char *other = ctx ? *(const char **) ctx : NULL;
  if (strncmp(request->path, "/end", 4) == 0) {
    test_reply(conn, 200, NULL, "end");
  } else if (strcmp(request->path, "/loop") == 0) {
    test_reply(conn, 302, "Location: /loop\r\n", "again");
  } else if (strcmp(request->path, "/file") == 0) {
    test_reply(conn, 302, "Location: file:///etc/hostname\r\n", "");
  } else if (strcmp(request->path, "/nowhere") == 0) {
    test_reply(conn, 302, NULL, "no location");
  } else if (strcmp(request->path, "/away") == 0) {
    (void) snprintf(headers, sizeof(headers), "Location: %s/end\r\n", other);
    test_reply(conn, 307, headers, "away");
  } else {
    test_reply(conn, 301, "Location: /end?x\r\nX-Old: 1\r\n", "moved");
  }
}

START_TEST(redirects_are_followed_for_get_and_never_take_keys_elsewhere)
{
  const char *there_url = NULL;
  struct test_server *there = test_server_new(redirect, NULL);
  there_url = test_server_url(there);
  struct test_server *server = test_server_new(redirect, &there_url);
  const struct mbp_pair headers[] = {{mbp_str("x-api-key"), mbp_str("secret")},
                                     {mbp_str("Accept"), mbp_str("text/plain")}};
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_http_request request = request_for(server, "/moved");
  request.headers = headers;
  request.n_headers = 2;
  struct mbp_http *exchange = must_open(&request);
  ck_assert_int_eq(HTTP->status(exchange), 200);
  ck_assert_str_eq(must_body(exchange), "end");
  ck_assert_uint_eq(HTTP->header(exchange, "x-old").len, 0);
  HTTP->close(exchange);
  ck_assert_str_eq(test_server_request(server, 1)->path, "/end?x");
  ck_assert_str_eq(test_request_header(test_server_request(server, 1), "x-api-key"), "secret");

  request.url = request_for(server, "/away").url;
  exchange = must_open(&request);
  ck_assert_str_eq(must_body(exchange), "end");
  HTTP->close(exchange);
  ck_assert_ptr_null(test_request_header(test_server_request(there, 0), "x-api-key"));
  ck_assert_str_eq(test_request_header(test_server_request(there, 0), "accept"), "text/plain");

  mag_autobuf body = MAG_BUF_INIT;
  request.url = request_for(server, "/loop").url;
  check_error(&err, fetch(&request, &body, &err), MBP_E_PROTOCOL, false, "more than 5 redirects");
  request.url = request_for(server, "/file").url;
  check_error(&err, fetch(&request, &body, &err), MBP_E_PROTOCOL, false, "not followed");
  ck_assert_uint_eq(body.len, 0);
  request.url = request_for(server, "/nowhere").url;
  exchange = must_open(&request);
  ck_assert_int_eq(HTTP->status(exchange), 302);
  ck_assert_str_eq(must_body(exchange), "no location");
  HTTP->close(exchange);
  test_server_free(server);
  test_server_free(there);
}
END_TEST

START_TEST(redirects_are_not_followed_for_post_nor_when_told)
{
  struct test_server *server = test_server_new(redirect, NULL);
  for (int i = 0; i < 3; i++) {
    struct mbp_http_request request = request_for(server, "/moved");
    request.body = mbp_str(i == 0 ? "x" : "");
    request.method = mbp_str(i == 1 ? "DELETE" : "");
    request.flags = i == 2 ? MBP_HTTP_NO_REDIRECT : 0;
    struct mbp_http *exchange = must_open(&request);
    ck_assert_int_eq(HTTP->status(exchange), 301);
    ck_assert_str_eq(must_body(exchange), "moved");
    HTTP->close(exchange);
  }
  ck_assert_uint_eq(test_server_count(server), 3);
  test_server_free(server);
}
END_TEST

/* ---- Proxies: one that answers itself to the absolute form, and tunnels CONNECT into an echo ---- */

static void proxy(struct test_conn *conn, const struct test_request *request, void *ctx)
{
  (void) ctx;
  if (strcmp(request->method, "CONNECT") == 0)
    test_reply(conn, 407, "Proxy-Authenticate: Basic\r\n", "");
  else
    test_reply(conn, 200, NULL, request->path);
}

START_TEST(proxies_are_used_by_option_and_by_environment)
{
  struct test_server *server = test_server_new(proxy, NULL);
  struct mbp_error err = MAG_ERROR_INIT;
  struct mbp_http_request request = request_for(server, "/");
  mag_autobuf body = MAG_BUF_INIT;
  request.url = mbp_str("http://name.invalid/x?y");
  request.proxy = mbp_str(test_server_url(server));
  struct mbp_http *exchange = must_open(&request);
  ck_assert_str_eq(must_body(exchange), "http://name.invalid/x?y");
  HTTP->close(exchange);

  const struct mbp_pair key = {mbp_str("Authorization"), mbp_str("Bearer secret")};
  request.headers = &key;
  request.n_headers = 1;
  request.url = mbp_str("https://name.invalid/x");
  check_error(&err, fetch(&request, &body, &err), MBP_E_NETWORK, true, "407");
  const struct test_request *seen = test_server_request(server, 1);
  ck_assert_str_eq(seen->path, "name.invalid:443");
  ck_assert_ptr_null(test_request_header(seen, "authorization"));

  ck_assert_int_eq(setenv("http_proxy", test_server_url(server), 1), 0);
  request = request_for(server, "/");
  request.url = mbp_str("http://other.invalid/");
  exchange = must_open(&request);
  ck_assert_str_eq(must_body(exchange), "http://other.invalid/");
  HTTP->close(exchange);
  ck_assert_int_eq(unsetenv("http_proxy"), 0);
  check_error(&err, fetch(&request, &body, &err), MBP_E_NETWORK, true, "other.invalid");
  test_server_free(server);
}
END_TEST

/* ---- TLS: openssl's own server, if the program is there ---- */

static bool run_program(const char *const *argv)
{
  pid_t pid;
  int status = 1;
  posix_spawn_file_actions_t actions;
  (void) posix_spawn_file_actions_init(&actions);
  (void) posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  (void) posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  bool good = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *) argv, environ) == 0 &&
              waitpid(pid, &status, 0) == pid && status == 0;
  (void) posix_spawn_file_actions_destroy(&actions);
  return good;
}

/* Answers the port, or 0. `page`: -www, a page about the connection; NULL: what comes from `in`. */
static int start_tls_server(const char *page, int in, const char *cert, const char *key, pid_t *pid)
{
  const char *const argv[] = {"openssl", "s_server", "-accept", "127.0.0.1:0", page ? page : "-ign_eof", "-cert",
                              cert,      "-key",     key,       "-verify",     "1",    NULL};
  int out[2], port = 0;
  char text[256];
  size_t len = 0;
  posix_spawn_file_actions_t actions;
  ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
  (void) posix_spawn_file_actions_init(&actions);
  (void) posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  (void) posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  if (in >= 0)
    (void) posix_spawn_file_actions_adddup2(&actions, in, 0);
  int r = posix_spawnp(pid, argv[0], &actions, NULL, (char *const *) argv, environ);
  (void) posix_spawn_file_actions_destroy(&actions);
  close(out[1]);
  while (r == 0 && port == 0 && len < sizeof(text) - 1 && poll(&(struct pollfd){out[0], POLLIN, 0}, 1, 5000) > 0) {
    ssize_t n = read(out[0], text + len, sizeof(text) - 1 - len);
    if (n <= 0)
      break;
    len += (size_t) n;
    text[len] = 0;
    const char *at = strstr(text, "ACCEPT 127.0.0.1:");
    if (at && strchr(at, '\n'))
      port = (int) strtol(at + 17, NULL, 10);
  }
  close(out[0]);
  return port;
}

static bool make_certificate(const char *cert, const char *key)
{
  const char *const make[] = {"openssl",
                              "req",
                              "-x509",
                              "-newkey",
                              "ec",
                              "-pkeyopt",
                              "ec_paramgen_curve:prime256v1",
                              "-nodes",
                              "-subj",
                              "/CN=localhost",
                              "-addext",
                              "subjectAltName=DNS:localhost",
                              "-days",
                              "2",
                              "-keyout",
                              key,
                              "-out",
                              cert,
                              NULL};
  return run_program(make);
}

START_TEST(tls_is_verified)
{
  char dir[] = "/tmp/magent-http-test.XXXXXX", cert[64], key[64], url[64];
  ck_assert_ptr_nonnull(mkdtemp(dir));
  (void) snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
  (void) snprintf(key, sizeof(key), "%s/key.pem", dir);
  pid_t pid = -1;
  int port = make_certificate(cert, key) ? start_tls_server("-www", -1, cert, key, &pid) : 0;
  if (port > 0) {
    struct mbp_error err = MAG_ERROR_INIT;
    struct mbp_http_request request = {.size = MBP_SIZE(struct mbp_http_request, max_body)};
    mag_autobuf body = MAG_BUF_INIT;
    (void) snprintf(url, sizeof(url), "https://localhost:%d/", port);
    request.url = mbp_str(url);
    check_error(&err, fetch(&request, &body, &err), MBP_E_NETWORK, false, "certificate");
    request.ca_file = mbp_str(cert);
    struct mbp_http *exchange = must_open(&request);
    ck_assert_int_eq(HTTP->status(exchange), 200);
    ck_assert_ptr_nonnull(strstr(must_body(exchange), "s_server"));
    HTTP->close(exchange);
    /* A client certificate is offered and shown. */
    request.cert_file = mbp_str(cert);
    request.key_file = mbp_str(key);
    exchange = must_open(&request);
    ck_assert_ptr_nonnull(strstr(must_body(exchange), "Client certificate"));
    HTTP->close(exchange);
    request.key_file = mbp_str("/nonexistent/key.pem");
    check_error(&err, fetch(&request, &body, &err), MBP_E_INVALID, false, "key_file");
    request.cert_file = request.key_file = mbp_str("");
    request.ca_file = mbp_str("/nonexistent/ca.pem");
    check_error(&err, fetch(&request, &body, &err), MBP_E_INVALID, false, "ca_file");
    (void) snprintf(url, sizeof(url), "https://127.0.0.1:%d/", port); /* not a name of the certificate's */
    request.url = mbp_str(url);
    request.ca_file = mbp_str(cert);
    check_error(&err, fetch(&request, &body, &err), MBP_E_NETWORK, false, "127.0.0.1");
  } else {
    fprintf(stderr, "tls_is_verified: skipped, no openssl program\n");
  }
  if (pid > 0) {
    (void) kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);
  }
  (void) unlink(cert);
  (void) unlink(key);
  (void) rmdir(dir);
}
END_TEST

#define TLS_BYTES 300000

/* What TLS, or libcurl below it, has taken from the socket already is told, too: who polls before every read gets
 * everything, although the other side stays silent then. */
START_TEST(a_duplex_over_tls_is_readable_while_there_is_something_to_read)
{
  static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
  char dir[] = "/tmp/magent-http-test.XXXXXX", cert[64], key[64], url[64], block[1000];
  int in[2];
  ck_assert_ptr_nonnull(mkdtemp(dir));
  (void) snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
  (void) snprintf(key, sizeof(key), "%s/key.pem", dir);
  ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
  ck_assert_int_ge(fcntl(in[1], F_SETPIPE_SZ, 2 * TLS_BYTES), TLS_BYTES);
  memset(block, 'x', sizeof(block));
  ck_assert_int_eq(write(in[1], head, sizeof(head) - 1), (ssize_t) sizeof(head) - 1);
  for (size_t i = 0; i < TLS_BYTES; i += sizeof(block))
    ck_assert_int_eq(write(in[1], block, sizeof(block)), (ssize_t) sizeof(block));
  pid_t pid = -1;
  int port = make_certificate(cert, key) ? start_tls_server(NULL, in[0], cert, key, &pid) : 0;
  if (port > 0) {
    struct mbp_error err = MAG_ERROR_INIT;
    struct mbp_http_request request = {.size = MBP_SIZE(struct mbp_http_request, max_body)};
    (void) snprintf(url, sizeof(url), "https://localhost:%d/", port);
    request.url = mbp_str(url);
    request.ca_file = mbp_str(cert);
    request.flags = MBP_HTTP_UPGRADE;
    struct mbp_http *exchange = must_open(&request);
    ck_assert_int_eq(HTTP->status(exchange), 101);
    for (int64_t got = 0, n; got < TLS_BYTES; got += n) {
      struct pollfd wait = {HTTP->poll_fd(exchange), POLLIN, 0};
      ck_assert_msg(poll(&wait, 1, 10000) == 1, "not readable after %lld bytes", (long long) got);
      n = HTTP->read(exchange, block, sizeof(block), &err);
      ck_assert_msg(n > 0, "%s", err.message);
    }
    HTTP->close(exchange);
  } else {
    fprintf(stderr, "duplex over TLS: SKIPPED, no openssl program\n");
  }
  if (pid > 0) {
    (void) kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);
  }
  (void) close(in[0]);
  (void) close(in[1]);
  (void) unlink(cert);
  (void) unlink(key);
  (void) rmdir(dir);
}
END_TEST

void http_route_tests(Suite *suite)
{
  TCase *t = tcase_create("routes");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, redirects_are_followed_for_get_and_never_take_keys_elsewhere);
  tcase_add_test(t, redirects_are_not_followed_for_post_nor_when_told);
  tcase_add_test(t, proxies_are_used_by_option_and_by_environment);
  tcase_add_test(t, tls_is_verified);
  tcase_add_test(t, a_duplex_over_tls_is_readable_while_there_is_something_to_read);
  suite_add_tcase(suite, t);
}
