/* SPDX-License-Identifier: MIT
 *
 * First a tree of all stacks, in one array: a node stands behind the one that it hangs from, so
 * that its place is known when its own turn comes.
 */
#include "profile/flame.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define WIDTH 1200.0
#define ROW 18
#define LETTER 7.3 /* how wide one is, about */
#define LEAST 0.4  /* what is narrower is left out */
#define NODES_MAX ((size_t)1 << 20)

struct node {
    const char *name;
    uint64_t value;
    uint32_t child, next; /* 0: none; the root hangs from nobody */
    uint32_t depth;
    double x;
};

struct tree {
    struct node *all;
    size_t count, capacity;
    bool failed;
};

static uint32_t add(struct tree *tree, struct node node)
{
    if (tree->count == tree->capacity && !tree->failed) {
        size_t capacity = tree->capacity > 0 ? tree->capacity * 2 : 256;
        void *grown = capacity <= NODES_MAX ? realloc(tree->all, capacity * sizeof node) : NULL;
        tree->failed = grown == NULL;
        if (grown != NULL) {
            tree->all = grown;
            tree->capacity = capacity;
        }
    }
    if (tree->failed)
        return 0;
    tree->all[tree->count] = node;
    return (uint32_t)tree->count++;
}

/* The one of this name that hangs from a node, counted. */
static uint32_t descend(struct tree *tree, uint32_t from, const char *name, uint64_t value)
{
    uint32_t at = tree->all[from].child;
    while (at != 0 && strcmp(tree->all[at].name, name) != 0)
        at = tree->all[at].next;
    if (at == 0) {
        const struct node node = {
            .name = name, .next = tree->all[from].child, .depth = tree->all[from].depth + 1};
        at = add(tree, node);
        if (at == 0)
            return from;
        tree->all[from].child = at;
    }
    tree->all[at].value += value;
    return at;
}

static const char *module_name(const struct module *module)
{
    const char *slash = module != NULL ? strrchr(module->path, '/') : NULL;
    return module == NULL ? "?" : slash != NULL ? slash + 1 : module->path;
}

static uint32_t descend_address(struct tree *tree, uint32_t at, const struct named *named,
                                uint64_t value)
{
    if (named == NULL || named->count == 0)
        return descend(tree, at, module_name(named != NULL ? named->module : NULL), value);
    for (size_t i = named->count; i-- > 0;)
        at = descend(tree, at, named->names[i].function, value);
    return at;
}

static void grow_tree(struct tree *tree, const struct stacks *stacks, size_t value_index,
                      struct names *names)
{
    (void)add(tree, (struct node){.name = "all"});
    for (size_t i = 0; i < stacks->count && !tree->failed; i++) {
        const struct stack *stack = &stacks->all[i];
        uint64_t value = stack->values[value_index];
        tree->all[0].value += value;
        uint32_t at = descend(tree, 0, stacks->names[stack->name], value);
        for (size_t j = stack->depth; j-- > 0 && !tree->failed;)
            at = descend_address(tree, at, names_find(names, stacks_frames(stacks, stack)[j]),
                                 value);
    }
}

/* Sets the places; how deep it goes. */
static uint32_t place(struct tree *tree)
{
    uint32_t deepest = 0;
    for (size_t i = 0; i < tree->count; i++) {
        const struct node *node = &tree->all[i];
        double x = node->x;
        deepest = node->depth > deepest ? node->depth : deepest;
        for (uint32_t at = node->child; at != 0; at = tree->all[at].next) {
            tree->all[at].x = x;
            x += (double)tree->all[at].value / (double)tree->all[0].value * WIDTH;
        }
    }
    return deepest;
}

/* The two that XML excludes are U+FFFE and U+FFFF. */
static bool is_letter(const char *text, size_t size)
{
    return size > 1 ? strncmp(text, "\xef\xbf\xbe", size) != 0 &&
                          strncmp(text, "\xef\xbf\xbf", size) != 0
                    : (unsigned char)*text < 0x80;
}

/* So many letters: whole ones, since nobody shows a picture that is not UTF-8. The kernel cuts the
 * names of threads at bytes. */
static void put_escaped(struct buf *out, const char *text, size_t most)
{
    enum { LONGEST = 4 };
    for (size_t size; *text != '\0' && most > 0; text += size, most--) {
        size = text_characters(text, strnlen(text, LONGEST), 1);
        if (!is_letter(text, size))
            buf_text(out, "?");
        else if (strchr("&<>\"'", *text) != NULL)
            buf_printf(out, "&#%d;", *text);
        else
            buf_add(out, (unsigned char)*text < ' ' ? " " : text, size);
    }
}

/* Light enough to write on; the same for the same name. */
static unsigned colour_of(const char *name)
{
    unsigned hash = 2166136261u;
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return (0xe0 + hash % 0x20) << 16 | (0xa0 + (hash >> 8) % 0x50) << 8 |
           (0x60 + (hash >> 16) % 0x40);
}

static void put_place(struct buf *out, double x, unsigned y)
{
    buf_text(out, " x=\"");
    buf_fixed(out, x, 1, 0);
    buf_printf(out, "\" y=\"%u\"", y);
}

static void put_node(struct buf *out, const struct node *node, uint64_t total)
{
    double width = (double)node->value / (double)total * WIDTH;
    unsigned y = node->depth * ROW;
    if (width < LEAST)
        return;
    buf_printf(out, "<g><title>");
    put_escaped(out, node->name, SIZE_MAX);
    buf_text(out, " ");
    buf_fixed(out, 100 * (double)node->value / (double)total, 1, 0);
    buf_text(out, "%</title><rect");
    put_place(out, node->x, y);
    buf_text(out, " width=\"");
    buf_fixed(out, width, 1, 0);
    buf_printf(out, "\" height=\"%d\" fill=\"#%06x\" stroke=\"#fff\"/>", ROW,
               colour_of(node->name));
    if (width > 4 * LETTER) {
        buf_text(out, "<text");
        put_place(out, node->x + 3, y + ROW - 5);
        buf_text(out, ">");
        put_escaped(out, node->name, (size_t)((width - 6) / LETTER));
        buf_text(out, "</text>");
    }
    buf_text(out, "</g>\n");
}

static void put_remarks(struct buf *out, const struct buf *remarks, unsigned y)
{
    buf_printf(out, "<text x=\"3\" y=\"%u\">", y);
    put_escaped(out, remarks->data != NULL ? remarks->data : "", 160);
    buf_text(out, "</text>\n");
}

void flame_write(struct buf *out, const struct profile *profile, const struct pprof_kind *kind,
                 struct names *names)
{
    struct tree tree = {0};
    grow_tree(&tree, &profile->stacks, pprof_values(kind) - 1, names);
    bool empty = tree.count == 0 || tree.all[0].value == 0;
    unsigned height = ((empty ? 0 : place(&tree)) + 3) * ROW;
    buf_printf(out,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %u\" "
               "font-family=\"monospace\" font-size=\"12\">\n"
               "<rect width=\"%g\" height=\"%u\" fill=\"#fff\"/>\n",
               WIDTH, height, WIDTH, height);
    for (size_t i = 0; i < tree.count && !empty; i++)
        put_node(out, &tree.all[i], tree.all[0].value);
    put_remarks(out, &profile->remarks, height - ROW / 2);
    buf_text(out, "</svg>\n");
    out->failed |= tree.failed;
    free(tree.all);
}
