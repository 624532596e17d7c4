/* bare_curl URL - the least that can ask a model through libcurl: one request. How much of a start is libcurl's own. */
#include <curl/curl.h>
#include <stdio.h>

static size_t drop(char *data, size_t size, size_t n, void *ctx)
{
  (void) data;
  (void) ctx;
  return size * n;
}

int main(int argc, char **argv)
{
  char url[256];
  (void) snprintf(url, sizeof(url), "%s/v1/messages", argc > 1 ? argv[1] : "");
  curl_global_init(CURL_GLOBAL_DEFAULT);
  CURL *curl = curl_easy_init();
  curl_easy_setopt(curl, CURLOPT_URL, url);
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "{\"model\":\"bench\",\"stream\":true,\"messages\":"
                                             "[{\"role\":\"user\",\"content\":\"Work.\"}]}");
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop);
  CURLcode code = curl_easy_perform(curl);
  curl_easy_cleanup(curl);
  return code != CURLE_OK;
}
