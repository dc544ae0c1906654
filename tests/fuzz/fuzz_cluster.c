/* Cluster files: the document, its cluster element, and the keystore in it. */
#include "fuzz.h"

#include "config/cluster.h"
#include "crypto/key.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	config_setup();
	crypto_setup();
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* What was read is written as genclust does, and read again. */
static void check_cluster(const struct cluster *cluster)
{
	struct document *doc = NULL;
	struct cluster again;
	struct buf text;
	struct err err;

	buf_init(&text, 1 << 20);
	cluster_format(cluster, &text);
	assert(!text.failed && document_parse("again", text.data, text.len, &doc, &err) == 0);
	assert(cluster_read(doc, &again, &err) == 0);
	assert(same_text(cluster->host, again.host) && cluster->port == again.port);
	assert(same_text(cluster->listen_host, again.listen_host));
	assert(same_text(cluster->keystore, again.keystore));
	cluster_clear(&again);
	document_free(doc);
	buf_clear(&text);
}

/* It takes the place of whatever cluster element the document has. */
static void check_replaced(struct document *doc, const struct cluster *cluster)
{
	struct cluster other = {.host = (char *)"admin.example.com", .port = 1}, again;
	struct err err;

	assert(cluster_write(doc, &other, &err) == 0 && cluster_read(doc, &again, &err) == 0);
	assert(same_text(again.host, other.host) && again.port == 1 && !again.keystore);
	cluster_clear(&again);
	assert(cluster_write(doc, cluster, &err) == 0 && cluster_read(doc, &again, &err) == 0);
	assert(same_text(again.host, cluster->host) &&
	       same_text(again.keystore, cluster->keystore));
	cluster_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct document *doc = NULL;
	struct cluster cluster;
	struct keystore *keystore = NULL;
	struct err err;

	if (document_parse("input", data, size, &doc, &err) != 0)
		return 0;
	if (cluster_read(doc, &cluster, &err) == 0) {
		check_cluster(&cluster);
		check_replaced(doc, &cluster);
		if (cluster.keystore && keystore_parse(cluster.keystore, &keystore, &err) == 0)
			keystore_free(keystore);
		cluster_clear(&cluster);
	} else {
		assert(err.code == ERR_GONE || err.code == ERR_REFUSED);
	}
	document_free(doc);
	return 0;
}
