/* http/metrics: the status document in the Prometheus text format; http/listener: addresses. */
#include "http/endpoints.h"
#include "http/listener.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *format(const char *json)
{
	json_t *status = json_loads(json, 0, NULL);
	struct buf out;
	char *text;

	assert_non_null(status);
	buf_init(&out, 1 << 20);
	metrics_format(status, &out);
	assert_false(out.failed);
	text = strdup(buf_text(&out));
	buf_clear(&out);
	json_decref(status);
	return text;
}

static size_t count(const char *text, const char *part)
{
	size_t n = 0;

	for (const char *p = text; (p = strstr(p, part)); p++)
		n++;
	return n;
}

static void node_has_its_families(void **state)
{
	char *text =
		format("{\"name\":\"n1\",\"role\":\"default\",\"nodeState\":\"WAITING\","
		       "\"isServing\":true,"
		       "\"sequence\":7,\"activatedAt\":\"2026-01-02T03:04:05Z\",\"rejected\":null,"
		       "\"admin\":{\"connected\":false,\"lastContact\":null},\"drift\":2,"
		       "\"version\":\"1\"}");

	(void)state;
	assert_non_null(strstr(text, "muster_node_state{state=\"WAITING\"} 1\n"));
	assert_non_null(strstr(text, "muster_node_state{state=\"RUNNING\"} 0\n"));
	assert_non_null(strstr(text, "\nmuster_release_sequence 7\n"));
	assert_non_null(strstr(text, "\nmuster_release_activated_timestamp_seconds 1767323045\n"));
	assert_non_null(strstr(text, "\nmuster_drift_total 2\n"));
	assert_non_null(strstr(text, "\nmuster_rejected 0\n"));
	assert_non_null(
		strstr(text, "\nmuster_held{by=\"node\"} 0\nmuster_held{by=\"admin\"} 0\n"));
	assert_non_null(strstr(text, "\nmuster_held_since_timestamp_seconds 0\n"));
	assert_non_null(strstr(text, "\nmuster_approved 0\n"));
	assert_null(strstr(text, "muster_nodes"));
	assert_int_equal(count(text, "# HELP "), count(text, "# TYPE "));
	free(text);
}

static void a_hold_and_an_approval_are_told(void **state)
{
	char *text = format("{\"name\":\"n1\",\"role\":\"default\",\"nodeState\":\"RUNNING\","
			    "\"held\":{\"by\":\"admin\",\"since\":\"2026-01-02T03:04:05Z\"},"
			    "\"admin\":{\"connected\":true,\"approved\":true}}");

	(void)state;
	assert_non_null(
		strstr(text, "\nmuster_held{by=\"node\"} 0\nmuster_held{by=\"admin\"} 1\n"));
	assert_non_null(strstr(text, "\nmuster_held_since_timestamp_seconds 1767323045\n"));
	assert_non_null(strstr(text, "\nmuster_approved 1\n"));
	free(text);
}

static void labels_are_escaped(void **state)
{
	char *text = format("{\"name\":\"a\\\"b\\\\c\\nd\",\"role\":\"r\",\"nodeState\":\"IDLE\"}");

	(void)state;
	assert_non_null(strstr(text, "name=\"a\\\"b\\\\c\\nd\""));
	free(text);
}

static void both_have_both_families_once(void **state)
{
	char *text =
		format("{\"name\":\"n\",\"role\":\"r\",\"nodeState\":\"RUNNING\",\"adminNode\":"
		       "{\"nodes\":{\"RUNNING\":3,\"AWAY\":1},\"held\":2,\"unapproved\":4,"
		       "\"behind\":5,\"rejected\":6,\"ahead\":7,\"failed\":\"no space\","
		       "\"packs\":{\"built\":3,\"hits\":4000,\"bytes\":5},\"published\":{\"at\":"
		       "null,\"roles\":"
		       "{\"r\":{\"sequence\":4}}},\"refused\":{\"reasons\":[]}}}");

	(void)state;
	assert_non_null(strstr(text, "muster_nodes{state=\"RUNNING\"} 3\n"));
	assert_non_null(strstr(text, "muster_nodes{state=\"AWAY\"} 1\n"));
	assert_non_null(strstr(text, "\nmuster_nodes_held 2\n"));
	assert_non_null(strstr(text, "\nmuster_nodes_unapproved 4\n"));
	assert_non_null(strstr(text, "\nmuster_nodes_behind 5\n"));
	assert_non_null(strstr(text, "\nmuster_nodes_rejected 6\n"));
	assert_non_null(strstr(text, "\nmuster_nodes_ahead 7\n"));
	assert_non_null(strstr(text, "\nmuster_publication_failed 1\n"));
	assert_non_null(strstr(text, "\nmuster_packs_built_total 3\n"));
	assert_non_null(strstr(text, "\nmuster_pack_hits_total 4000\n"));
	assert_non_null(strstr(text, "\nmuster_pack_cache_bytes 5\n"));
	assert_non_null(strstr(text, "muster_role_sequence{role=\"r\"} 4\n"));
	assert_non_null(strstr(text, "\nmuster_refused 1\n"));
	assert_int_equal(count(text, "# TYPE muster_nodes "), 1);
	free(text);
}

static void codes_follow_the_document(void **state)
{
	json_t *admin = json_loads("{\"cluster\":\"x\"}", 0, NULL);
	json_t *idle = json_loads("{\"isReady\":false,\"isServing\":false}", 0, NULL);
	json_t *split = json_loads("{\"isReady\":true,\"isServing\":false}", 0, NULL);

	(void)state;
	assert_int_equal(status_code(admin, false), 200);
	assert_int_equal(status_code(idle, false), 503);
	assert_int_equal(status_code(idle, true), 503);
	assert_int_equal(status_code(split, false), 200);
	assert_int_equal(status_code(split, true), 503);
	json_decref(admin);
	json_decref(idle);
	json_decref(split);
}

static void addresses_are_strict(void **state)
{
	static const char *const bad[] = {"",        "4465", ":4465", "127.0.0.1:",   "127.0.0.1:x",
					  "a:65536", "a:-1", "a: 1",  "127.0.0.1:1x", "a:01"};
	char host[HTTP_ADDRESS_MAX];
	uint16_t port;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(http_address_parse(bad[i], host, &port, &err), -1);
	assert_int_equal(http_address_parse("127.0.0.1:0", host, &port, &err), 0);
	assert_string_equal(host, "127.0.0.1");
	assert_int_equal(port, 0);
	assert_int_equal(http_address_parse("[::1]:65535", host, &port, &err), 0);
	assert_string_equal(host, "::1");
	assert_int_equal(port, 65535);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hold_and_an_approval_are_told),
		cmocka_unit_test(node_has_its_families),
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(both_have_both_families_once),
		cmocka_unit_test(codes_follow_the_document),
		cmocka_unit_test(addresses_are_strict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
