/*
 * Slices: see slice.h. The rules have the numbers of muster-config(5). Rules 2 and 4 are one: a
 * profile that keeps no endpoint and an entry of a referenced-only list are both conditional. What
 * is not conditional is walked; a conditional element is walked once a leaf that was walked
 * mentions its id, and goes if none does. So nothing stays because it mentions itself, or because
 * two things that nobody needs mention each other. What goes is only marked; what is left is copied
 * at the end, so that a role costs little more than what it gets.
 */
#include "config/slice.h"

#include "config/path.h"
#include "config/table.h"
#include "config/xml.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>

/* A mention by a leaf without ref=: of an entry of any list. */
#define MENTION_ANY (UINT64_C(1) << MODEL_LISTS_MAX)

struct conditional {
	xmlNode *node;
	uint64_t by; /* the mentions that keep it */
	bool kept;   /* mentioned */
	size_t next; /* with the same id: index from 1, or 0 */
};

struct slicing {
	const struct model *model;
	const char *role;
	const struct document *doc; /* all of it; stays as it is */
	struct table gone;      /* by scope: the elements of it that are not in the slice */
	bool listed;            /* some role of the configuration lists an endpoint */
	xmlNode *own;           /* the service-role of ROLE */
	struct table profiles;  /* by scope: kind PROFILE_HAD or PROFILE_LOST endpoints */
	struct table endpoints; /* by text: the ids ROLE lists */
	struct table ids;       /* by text: mask = mentions, number = the first conditional */
	struct conditional *conditionals;
	size_t count;
	size_t *kept; /* indexes of what is mentioned, in the order found */
	size_t kept_count;
};

enum { PROFILE_HAD = 1, PROFILE_LOST };

static void drop(struct slicing *s, const xmlNode *node)
{
	(void)table_add(&s->gone, &(struct table_key){.scope = node}, NULL);
}

static bool is_gone(const struct slicing *s, const xmlNode *node)
{
	return table_find(&s->gone, &(struct table_key){.scope = node}) != NULL;
}

/* Whether neither it nor what it is in is gone. */
static bool stays(const struct slicing *s, const xmlNode *node)
{
	while (node->type == XML_ELEMENT_NODE && !is_gone(s, node))
		node = node->parent;
	return node->type != XML_ELEMENT_NODE;
}

static const char *id_of(const xmlNode *entry)
{
	const xmlNode *key = xml_key_leaf(entry);

	return key ? xml_text(key) : "";
}

/* --- roles --- */

struct listing {
	struct roles *out;
	struct err *err;
};

static int list_role(void *arg, xmlNode *node)
{
	struct listing *l = arg;
	const char *id = id_of(node);
	char *path;

	if (name_valid(id)) {
		l->out->names = mem_grow(l->out->names, l->out->count + 1, sizeof(char *));
		l->out->names[l->out->count++] = text_copy(id);
		return 0;
	}
	path = path_text(node, NULL);
	err_set(l->err, ERR_REFUSED, "%s:%u: %.300s: \"%.100s\" is no name for a role",
		xml_file(node), xml_line(node), path, id);
	free(path);
	return -1;
}

int slice_roles(const struct document *doc, struct roles *out, struct err *err)
{
	struct roles made = {.names = NULL};
	struct listing l = {.out = &made, .err = err};

	if (xml_each(xml_root(doc), xml_path_roles, list_role, &l)) {
		roles_clear(&made);
		return -1;
	}
	*out = made;
	return 0;
}

void roles_clear(struct roles *roles)
{
	for (size_t i = 0; i < roles->count; i++)
		free(roles->names[i]);
	free(roles->names);
	*roles = (struct roles){.names = NULL};
}

/* --- what is seen before anything goes --- */

static int see_role(void *arg, xmlNode *node)
{
	struct slicing *s = arg;

	if (xml_child(node, "endpoints"))
		s->listed = true;
	return 0;
}

/* Stops at the first that stays. */
static int find_endpoint(void *arg, xmlNode *node)
{
	return stays(arg, node);
}

static bool has_endpoint(struct slicing *s, xmlNode *profile)
{
	return xml_each(profile, xml_path_endpoints, find_endpoint, s) != 0;
}

static void mark_profile(struct slicing *s, const xmlNode *profile, int mark)
{
	table_add(&s->profiles, &(struct table_key){.scope = profile}, NULL)->kind = mark;
}

static int see_profile(void *arg, xmlNode *node)
{
	if (has_endpoint(arg, node))
		mark_profile(arg, node, PROFILE_HAD);
	return 0;
}

/* --- rules 1, 3 and 5: what goes whatever the rest says --- */

/* Whether muster:roles, if it is there, names the role. */
static bool for_role(const xmlNode *node, const char *role)
{
	char *names = xml_attribute(node, NS_MUSTER, "roles"), *at = names, *name;
	bool found = !names;

	while (!found && (name = strsep(&at, " \t\r\n")))
		found = strcmp(name, role) == 0;
	free(names);
	return found;
}

static void prune(struct slicing *s, const xmlNode *parent, struct steps *steps)
{
	for (const xmlNode *node = xml_first(parent); node; node = xml_next(node)) {
		struct model_props props;

		steps_push(steps, xml_name(node));
		model_match(s->model, steps, &props);
		if (props.flags & MODEL_ADMIN_ONLY || !for_role(node, s->role))
			drop(s, node);
		else
			prune(s, node, steps);
		steps_pop(steps);
	}
}

static int prune_role(void *arg, xmlNode *node)
{
	struct slicing *s = arg;

	if (strcmp(id_of(node), s->role) != 0)
		drop(s, node);
	else if (stays(s, node))
		s->own = node;
	return 0;
}

/* --- rule 2: endpoints --- */

static int prune_endpoint(void *arg, xmlNode *node)
{
	struct slicing *s = arg;

	if (!table_find(&s->endpoints, &(struct table_key){.text = id_of(node)}))
		drop(s, node);
	return 0;
}

static int prune_profile(void *arg, xmlNode *node)
{
	struct slicing *s = arg;

	if (!table_find(&s->profiles, &(struct table_key){.scope = node}))
		return 0; /* it never had an endpoint */
	(void)xml_each(node, xml_path_endpoints, prune_endpoint, s);
	if (!has_endpoint(s, node))
		mark_profile(s, node, PROFILE_LOST);
	return 0;
}

static void prune_endpoints(struct slicing *s)
{
	if (!s->listed)
		return;
	for (const xmlNode *leaf = xml_child(s->own, "endpoints"); leaf; leaf = xml_again(leaf))
		if (!is_gone(s, leaf))
			table_add(&s->endpoints, &(struct table_key){.text = xml_text(leaf)}, NULL);
	(void)xml_each(xml_root(s->doc), xml_path_profiles, prune_profile, s);
}

/* --- rules 2 and 4: what stays only while it is mentioned --- */

static void keep(struct slicing *s, size_t index)
{
	if (s->conditionals[index].kept)
		return;
	s->conditionals[index].kept = true;
	s->kept[s->kept_count++] = index;
}

static void add_conditional(struct slicing *s, xmlNode *node, const char *id, uint64_t by)
{
	struct table_slot *slot = table_add(&s->ids, &(struct table_key){.text = id}, NULL);

	if ((s->count & (s->count - 1)) == 0) { /* doubled when it is a power of two */
		size_t room = s->count ? s->count * 2 : 1;

		s->conditionals = mem_grow(s->conditionals, room, sizeof(*s->conditionals));
		s->kept = mem_grow(s->kept, room, sizeof(*s->kept));
	}
	s->conditionals[s->count++] =
		(struct conditional){.node = node, .by = by, .next = slot->number};
	slot->number = s->count;
	if (slot->mask & by)
		keep(s, s->count - 1);
}

static void mention(struct slicing *s, const char *id, uint64_t refs)
{
	struct table_slot *slot = table_add(&s->ids, &(struct table_key){.text = id}, NULL);
	uint64_t mask = slot->mask | (refs ? refs : MENTION_ANY);

	if (mask == slot->mask)
		return;
	slot->mask = mask;
	for (size_t i = slot->number; i > 0; i = s->conditionals[i - 1].next)
		if (s->conditionals[i - 1].by & mask)
			keep(s, i - 1);
}

/*
 * Whether the element has just been added as a conditional one, to be walked when it is mentioned.
 */
static bool is_conditional(struct slicing *s, xmlNode *node, const struct model_props *props)
{
	const struct table_slot *slot;
	const char *key;

	slot = table_find(&s->profiles, &(struct table_key){.scope = node});
	if (!(slot && slot->kind == PROFILE_LOST) &&
	    !(props->flags & MODEL_REFERENCED_ONLY && xml_kind(node, props, &key) == XML_ENTRY))
		return false;
	add_conditional(s, node, id_of(node), props->lists | MENTION_ANY);
	return true;
}

static bool at_cluster(const struct steps *steps)
{
	for (size_t i = 0; i < steps->count; i++)
		if (!xml_path_cluster[i] || strcmp(steps->names[i], xml_path_cluster[i]) != 0)
			return false;
	return steps->count == 3;
}

/* Walks what is in PARENT, but for the element SKIP. */
static void walk(struct slicing *s, const xmlNode *parent, const xmlNode *skip, struct steps *steps)
{
	for (xmlNode *node = xml_first(parent); node; node = xml_next(node)) {
		struct model_props props;

		if (node == skip || is_gone(s, node))
			continue;
		steps_push(steps, xml_name(node));
		model_match(s->model, steps, &props);
		if (*xml_text(node)) /* a leaf */
			mention(s, xml_text(node), props.refs);
		else if (!is_conditional(s, node, &props) && !at_cluster(steps))
			walk(s, node, NULL, steps);
		steps_pop(steps);
	}
}

static void prune_unmentioned(struct slicing *s)
{
	struct steps steps = {.count = 0};

	walk(s, xml_root(s->doc), NULL, &steps);
	for (size_t i = 0; i < s->kept_count; i++) {
		const xmlNode *node = s->conditionals[s->kept[i]].node;

		path_steps(node, &steps);
		walk(s, node, xml_key_leaf(node), &steps);
	}
	for (size_t i = 0; i < s->count; i++)
		if (!s->conditionals[i].kept)
			drop(s, s->conditionals[i].node);
}

/* --- what is said to Muster is not passed on --- */

static bool is_muster(const xmlNs *ns)
{
	return ns && ns->href && xmlStrEqual(ns->href, BAD_CAST NS_MUSTER);
}

/* Drops muster:roles, and marks each declaration of Muster's namespace that something else uses. */
static void drop_attributes(xmlNode *node)
{
	xmlAttr *roles = xmlHasNsProp(node, BAD_CAST "roles", BAD_CAST NS_MUSTER);

	if (roles)
		(void)xmlRemoveProp(roles);
	if (is_muster(node->ns))
		node->ns->_private = node->ns;
	for (const xmlAttr *a = node->properties; a; a = a->next)
		if (is_muster(a->ns))
			a->ns->_private = a->ns;
	for (xmlNode *child = xml_first(node); child; child = xml_next(child))
		drop_attributes(child);
}

static void drop_declarations(xmlNode *node)
{
	xmlNs **at = &node->nsDef;

	while (*at) {
		xmlNs *ns = *at;

		if (!is_muster(ns) || ns->_private) {
			ns->_private = NULL;
			at = &ns->next;
			continue;
		}
		*at = ns->next;
		xmlFreeNs(ns);
	}
	for (xmlNode *child = xml_first(node); child; child = xml_next(child))
		drop_declarations(child);
}

/* --- all of it --- */

static int replace_cluster(struct document *doc, const struct cluster *cluster, struct err *err)
{
	struct cluster passed;

	if (!cluster)
		return 0;
	passed = *cluster; /* borrowed */
	passed.listen_host = NULL;
	return cluster_write(doc, &passed, err);
}

static int drop_node(void *arg, xmlNode *node)
{
	drop(arg, node);
	return 0;
}

/* Marks what is not for the role. */
static int mark(struct slicing *s, const struct cluster *cluster, struct err *err)
{
	struct steps steps = {.count = 0};
	xmlNode *root = xml_root(s->doc);

	(void)xml_each(root, xml_path_roles, see_role, s);
	(void)xml_each(root, xml_path_profiles, see_profile, s);
	prune(s, root, &steps);
	(void)xml_each(root, xml_path_roles, prune_role, s);
	if (!s->own || !for_role(root, s->role))
		return err_set(err, ERR_GONE,
			       "there is no service role \"%s\" in the configuration", s->role);
	prune_endpoints(s);
	prune_unmentioned(s);
	if (!cluster)
		(void)xml_each(root, xml_path_cluster, drop_node, s);
	return 0;
}

static int copy(const struct slicing *s, const struct cluster *cluster, struct document **out,
		struct err *err)
{
	struct document *made = xml_copy(s->doc, false, &s->gone);

	drop_attributes(xml_root(made));
	drop_declarations(xml_root(made));
	if (replace_cluster(made, cluster, err)) {
		document_free(made);
		return -1;
	}
	*out = made;
	return 0;
}

int slice(const struct document *doc, const struct model *model, const char *role,
	  const struct cluster *cluster, struct document **out, struct err *err)
{
	struct slicing s = {.model = model, .role = role, .doc = doc};
	int rc = mark(&s, cluster, err);

	if (rc == 0)
		rc = copy(&s, cluster, out, err);
	table_clear(&s.gone);
	table_clear(&s.profiles);
	table_clear(&s.endpoints);
	table_clear(&s.ids);
	free(s.conditionals);
	free(s.kept);
	return rc;
}
