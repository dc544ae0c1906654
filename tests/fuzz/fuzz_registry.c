/*
 * What the admin keeps of a node: the input is read as its file, and as what the node says of
 * itself.
 */
#include "fuzz.h"

#include "admin/registry_files.h"
#include "core/log.h"
#include "core/text.h"

#include <jansson.h>

static void on_changed(void *arg)
{
	(void)arg;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	crypto_setup();
	log_setup(LOG_LEVEL_ERROR);
	return 0;
}

/* A file is one of the node whose name it has. */
static int parse(struct node *node, const char *name, const void *data, size_t size)
{
	struct buf text;
	int rc;

	*node = (struct node){.sequence = 0};
	memcpy(node->name, name, strlen(name) + 1);
	buf_init(&text, LIMIT_SMALL_FILE);
	buf_put(&text, data, size);
	rc = node_parse(node, &text);
	buf_clear(&text);
	return rc;
}

/* What is known of a node survives a restart. */
static void check_kept(const struct node *node)
{
	char *text = node_format(node), *again;
	struct node kept;

	assert(text && parse(&kept, node->name, text, strlen(text)) == 0);
	again = node_format(&kept);
	assert(strcmp(text, again) == 0 && kept.sequence == node->sequence);
	assert(strcmp(node_said(node, "version"), node_said(&kept, "version")) == 0);
	assert(kept.report_size == node->report_size && node->report_size <= LIMIT_REPORT);
	assert(!kept.report_size || memcmp(kept.report, node->report, kept.report_size) == 0);
	free(kept.report);
	free(text);
	free(again);
}

static void check_message(struct registry *registry, const struct control_message *message)
{
	static const uint8_t key[KEY_SIZE] = "a", other[KEY_SIZE] = "b";
	static const struct join join = {.epoch = 1};
	struct node *node = NULL, *second = NULL;
	struct err err;

	if (registry_register(registry, key, &join, message, &node, &err) != 0) {
		assert(err.code == ERR_REFUSED);
		return;
	}
	assert(registry_find(registry, node->name) == node);
	registry_connected(registry, node, true);
	registry_report(registry, node, message);
	check_kept(node);
	assert(registry_register(registry, other, &join, message, &second, &err) == -1);
	registry_connected(registry, node, false);
	assert(registry_register(registry, other, &join, message, &second, &err) == 0 &&
	       second == node);
}

static void check_messages(const uint8_t *data, size_t size)
{
	uv_loop_t *loop = uv_default_loop();
	struct registry *registry = mem_new(1, sizeof(*registry));
	struct control_message message;
	struct buf in;
	struct err err;

	/* closing: no timer is started, nothing is written */
	*registry = (struct registry){.loop = loop,
				      .var = -1,
				      .folder = -1,
				      .fresh = -1,
				      .max = LIMIT_NODES,
				      .changed = on_changed,
				      .closing = true};
	buf_init(&in, size + 1);
	buf_put(&in, data, size);
	while (control_take(&in, &message, &err) == 1) {
		check_message(registry, &message);
		control_clear(&message);
	}
	for (size_t i = 1; i < registry_count(registry); i++)
		assert(strcmp(registry_at(registry, i - 1)->name, registry_at(registry, i)->name) <
		       0);
	for (size_t i = 0; i < registry_count(registry); i++)
		node_free(registry_at(registry, i));
	free(registry->nodes);
	free(registry);
	buf_clear(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct node node;

	if (parse(&node, "node1", data, size) == 0)
		check_kept(&node);
	free(node.report);
	check_messages(data, size);
	return 0;
}
