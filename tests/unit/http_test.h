/* http_test.h - what the tests of the HTTP client share. */
#ifndef TEST_HTTP_TEST_H
#define TEST_HTTP_TEST_H

#include "../lib/http_server.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/error.h"
#include "host/call.h"
#include "host/http.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef fail /* the table has a member of this name; in Check it is an old macro */
#define HTTP (&mag_http_table)

/* A request for server's URL + path; change what is needed, then open. The URL is in a buffer of the thread. */
struct mbp_http_request request_for(struct test_server *server, const char *path);
/* Opens and asserts that it worked. */
struct mbp_http *must_open(const struct mbp_http_request *request);
/* The whole body as a string of the exchange's; asserts. */
const char *must_body(struct mbp_http *exchange);
/* Opens and reads all of it; the error of whichever failed. */
int fetch(const struct mbp_http_request *request, struct mag_buf *body, struct mbp_error *err);
struct mbp_call *call_new(int64_t timeout_ms);
void call_free(struct mbp_call *call); /* done, for caller and plugin */
/* Checks an error: its code, whether it may be retried, and that the message holds `text`. */
void check_error(const struct mbp_error *err, int r, int code, bool retryable, const char *text);

void http_wait_tests(Suite *suite);
void http_duplex_tests(Suite *suite);
void http_fail_tests(Suite *suite);
void http_route_tests(Suite *suite);

#endif
