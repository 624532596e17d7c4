/* What a session shows to who watches: records once they are durable, and previews as they come. */
#include "agent/session_parts.h"

#include "base/buf.h"
#include "host/redact.h"

#include <stdio.h>
#include <string.h>

void mag_session_observe(struct mag_session *session, const struct mag_observer *observer)
{
  pthread_mutex_lock(&session->observer_lock);
  session->observer = *observer;
  pthread_mutex_unlock(&session->observer_lock);
}

void mag_session_observed(struct mag_session *session, const struct mbp_record *record)
{
  pthread_mutex_lock(&session->observer_lock);
  if (session->observer.event)
    session->observer.event(session->observer.ctx, record);
  pthread_mutex_unlock(&session->observer_lock);
}

void mag_session_preview(struct mag_session *session, uint32_t kind, const char *event_id, struct mbp_str name,
                         struct mbp_str data)
{
  mag_autobuf clean = MAG_BUF_INIT;
  if (mag_redact_wanted(data)) {
    mag_redact_into(&clean, data);
    data = mag_buf_str(&clean);
  }
  if (kind == MAG_PREVIEW_TOOL_OUTPUT)
    mag_output_add(&session->output, event_id, data);
  struct mag_preview preview = {kind, event_id, name, data};
  pthread_mutex_lock(&session->observer_lock);
  if (session->observer.preview)
    session->observer.preview(session->observer.ctx, &preview);
  pthread_mutex_unlock(&session->observer_lock);
}

void mag_session_preview_piece(struct mag_session *session, struct mag_preview_stream *stream, uint32_t kind,
                               const char *event_id, const char *name, struct mbp_str data)
{
  mag_autobuf clean = MAG_BUF_INIT;
  if (stream->kind != kind || strcmp(stream->event_id, event_id) != 0)
    mag_session_preview_rest(session, stream);
  stream->kind = kind;
  stream->name = name;
  (void) snprintf(stream->event_id, sizeof(stream->event_id), "%s", event_id);
  mag_redact_piece(&stream->held, data, &clean);
  if (clean.len || data.len == 0)
    mag_session_preview(session, kind, event_id, mbp_str(name), mag_buf_str(&clean));
}

void mag_session_preview_rest(struct mag_session *session, struct mag_preview_stream *stream)
{
  if (stream->held.len)
    mag_session_preview(session, stream->kind, stream->event_id, mbp_str(stream->name), mag_buf_str(&stream->held));
  mag_buf_done(&stream->held);
}
