/* The cluster configuration: see cluster.h. */
#include "config/cluster.h"

#include "config/path.h"
#include "config/xml.h"
#include "core/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOST_MAX = 255 }; /* bytes of a host name */

static int refuse(struct err *err, const xmlNode *node, const char *reason)
{
	char *path = path_text(node, NULL);

	err_set(err, ERR_REFUSED, "%s:%u: %.500s: %s", xml_file(node), xml_line(node), path,
		reason);
	free(path);
	return -1;
}

struct search {
	xmlNode *found;
	struct err *err;
};

static int found(void *arg, xmlNode *node)
{
	struct search *search = arg;

	if (search->found)
		return refuse(search->err, node, "a second cluster element");
	search->found = node;
	return 0;
}

static int find_cluster(const struct document *doc, xmlNode **out, struct err *err)
{
	struct search search = {.err = err};

	if (xml_each(xml_root(doc), xml_path_cluster, found, &search))
		return -1;
	*out = search.found;
	return 0;
}

/* The leaf NAME, NULL when there is none; REFUSED when there are two or it is no leaf. */
static int find_leaf(const xmlNode *cluster, const char *name, const xmlNode **out, struct err *err)
{
	const xmlNode *leaf = xml_child(cluster, name);

	if (leaf && xml_again(leaf))
		return refuse(err, xml_again(leaf), "this stands for the second time");
	if (leaf && !xml_is_leaf(leaf))
		return refuse(err, leaf, "elements where a value belongs");
	*out = leaf;
	return 0;
}

static const char *host_fault(const char *host)
{
	if (!*host)
		return "the host is empty";
	if (strlen(host) > HOST_MAX)
		return "the host is too long";
	for (const unsigned char *p = (const unsigned char *)host; *p; p++)
		if (*p <= 0x20 || *p == 0x7f)
			return "blanks or control characters in the host";
	if (strstr(host, "#{"))
		return "no parameter may stand for the host";
	return NULL;
}

static int read_host(const xmlNode *cluster, const char *name, char **out, struct err *err)
{
	const xmlNode *leaf;
	const char *fault;

	if (find_leaf(cluster, name, &leaf, err))
		return -1;
	if (!leaf)
		return 0;
	fault = host_fault(xml_text(leaf));
	if (fault)
		return refuse(err, leaf, fault);
	*out = text_copy(xml_text(leaf));
	return 0;
}

static int read_port(const xmlNode *cluster, uint16_t *out, struct err *err)
{
	const xmlNode *leaf;
	uint64_t port;

	if (find_leaf(cluster, "port", &leaf, err))
		return -1;
	if (!leaf)
		return 0;
	if (text_number(xml_text(leaf), UINT16_MAX, &port) || port == 0)
		return refuse(err, leaf, "the port is no number from 1 to 65535");
	*out = (uint16_t)port;
	return 0;
}

static int read_keystore(const xmlNode *cluster, char **out, struct err *err)
{
	static const char blanks[] = " \t\r\n";
	const xmlNode *leaf;
	const char *text;
	size_t len;

	if (find_leaf(cluster, "keystore", &leaf, err))
		return -1;
	if (!leaf)
		return 0;
	text = xml_text(leaf);
	text += strspn(text, blanks);
	len = strlen(text);
	while (len > 0 && strchr(blanks, text[len - 1]))
		len--;
	if (len > 0 && !text_starts(text, "muster:1:"))
		*out = text_copy_n(text, len);
	return 0;
}

int cluster_read(const struct document *doc, struct cluster *out, struct err *err)
{
	struct cluster made = {.port = CLUSTER_PORT};
	xmlNode *cluster;

	if (find_cluster(doc, &cluster, err))
		return -1;
	if (!cluster)
		return err_set(err, ERR_GONE, "%s: no environments/environment/cluster",
			       xml_file(xml_root(doc)));
	if (read_host(cluster, "host", &made.host, err) ||
	    read_host(cluster, "admin-listening-host", &made.listen_host, err) ||
	    read_port(cluster, &made.port, err) || read_keystore(cluster, &made.keystore, err))
		goto fail;
	if (!made.host) {
		(void)refuse(err, cluster, "no host");
		goto fail;
	}
	*out = made;
	return 0;
fail:
	cluster_clear(&made);
	return -1;
}

bool cluster_alone(const struct document *doc)
{
	const xmlNode *node = xml_root(doc);

	for (const char *const *name = xml_path_cluster; *name; name++) {
		node = xml_first(node);
		if (!node || !xml_is(node, *name) || xml_next(node))
			return false;
	}
	return true;
}

static xmlNode *child_or_new(struct document *doc, xmlNode *parent, const char *name)
{
	xmlNode *child = xml_child(parent, name);

	return child ? child : xml_add(doc, parent, NS_BASE, name);
}

static void fill(struct document *doc, xmlNode *node, const struct cluster *cluster)
{
	char port[8];

	(void)snprintf(port, sizeof(port), "%u", cluster->port); /* fits */
	if (cluster->keystore)
		xml_add_leaf(doc, node, NS_BASE, "keystore", cluster->keystore);
	xml_add_leaf(doc, node, NS_BASE, "host", cluster->host);
	xml_add_leaf(doc, node, NS_BASE, "port", port);
	if (cluster->listen_host)
		xml_add_leaf(doc, node, NS_BASE, "admin-listening-host", cluster->listen_host);
}

int cluster_write(struct document *doc, const struct cluster *cluster, struct err *err)
{
	xmlNode *old, *new, *environment;
	const char *fault = host_fault(cluster->host ? cluster->host : "");

	if (!fault && cluster->port == 0)
		fault = "the port is 0";
	if (fault)
		return err_set(err, ERR_REFUSED, "cluster: %s", fault);
	if (find_cluster(doc, &old, err))
		return -1;
	environment = old ? old->parent
			  : child_or_new(doc, child_or_new(doc, xml_root(doc), "environments"),
					 "environment");
	new = xml_add(doc, environment, NS_BASE, "cluster");
	fill(doc, new, cluster);
	if (old) {
		(void)xmlReplaceNode(old, new); /* unlinks NEW from the end first */
		xmlFreeNode(old);
	}
	return 0;
}

void cluster_format(const struct cluster *cluster, struct buf *out)
{
	struct document *doc = document_new();
	struct err err = {.code = ERR_NONE};

	if (cluster_write(doc, cluster, &err) || document_serialise(doc, out, &err))
		out->failed = true;
	document_free(doc);
}

void cluster_clear(struct cluster *cluster)
{
	free(cluster->host);
	free(cluster->listen_host);
	free(cluster->keystore);
	*cluster = (struct cluster){.port = 0};
}
