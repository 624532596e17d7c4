/* bare_loop PORT - the least that can be called an agent: a socket, the model's answer searched for a command, fork and
 * exec of sh for it, the output sent back with the whole conversation. No log, no sandbox, no checks: what magent is
 * measured against. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMORY (4u << 20)

static char messages[MEMORY], request[MEMORY + 4096], answer[MEMORY];
static size_t n_messages;

static void add(const char *text)
{
  size_t len = strlen(text);
  if (n_messages + len >= MEMORY)
    exit(1);
  memcpy(messages + n_messages, text, len + 1);
  n_messages += len;
}

static int dial(int port)
{
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons((uint16_t) port)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
    exit(1);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  return fd;
}

static void ask(int fd)
{
  int body = snprintf(NULL, 0, "{\"model\":\"bench\",\"stream\":true,\"messages\":[%s]}", messages);
  int len = snprintf(
      request, sizeof(request),
      "POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
      "{\"model\":\"bench\",\"stream\":true,\"messages\":[%s]}",
      body, messages);
  for (int at = 0; at < len;) {
    ssize_t n = write(fd, request + at, (size_t) (len - at));
    if (n <= 0)
      exit(1);
    at += (int) n;
  }
  size_t have = 0;
  answer[0] = 0;
  while (!strstr(answer, "\r\n0\r\n\r\n")) {
    ssize_t n = read(fd, answer + have, sizeof(answer) - 1 - have);
    if (n <= 0)
      exit(1);
    have += (size_t) n;
    answer[have] = 0;
  }
}

static void run(const char *command, char *output, size_t size)
{
  int out[2], status;
  size_t have = 0;
  ssize_t n;
  if (pipe(out) < 0)
    exit(1);
  pid_t pid = fork();
  if (pid == 0) {
    dup2(out[1], 1);
    dup2(out[1], 2);
    close(out[0]);
    close(out[1]);
    execl("/bin/sh", "sh", "-c", command, (char *) NULL);
    _exit(127);
  }
  close(out[1]);
  while (have < size - 1 && (n = read(out[0], output + have, size - 1 - have)) > 0)
    have += (size_t) n;
  output[have && output[have - 1] == '\n' ? have - 1 : have] = 0;
  close(out[0]);
  waitpid(pid, &status, 0);
}

int main(int argc, char **argv)
{
  int fd = dial(argc > 1 ? (int) strtol(argv[1], NULL, 10) : 0);
  char command[256], output[4096], text[8192];
  add("{\"role\":\"user\",\"content\":\"Work.\"}");
  for (int step = 0;; step++) {
    ask(fd);
    const char *found = strstr(answer, "{\\\"command\\\":\\\"");
    if (!found || sscanf(found, "{\\\"command\\\":\\\"%255[^\\]", command) != 1)
      return 0;
    run(command, output, sizeof(output));
    snprintf(
        text, sizeof(text),
        ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"toolu_%d\",\"name\":\"bash\",\"input\":{"
        "\"command\":\"%s\"}}]}"
        ",{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_%d\",\"content\":\"%s\"}]}",
        step, command, step, output);
    add(text);
  }
}
