/* SPDX-License-Identifier: MIT */
#include "admin/redact.h"

#include <string.h>

#define BLANKS " \t\r\n"

/* What is on its way out. */
struct writer {
    char *out;
    size_t size, used;
};

static void put(struct writer *writer, const char *data, size_t size)
{
    size_t room = writer->size - 1 - writer->used;
    size_t taken = size < room ? size : room;
    memcpy(writer->out + writer->used, data, taken);
    writer->used += taken;
}

/* Not tolower: what a letter's other case is must not depend on the locale. */
static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool begins(const char *text, size_t size, const char *word)
{
    size_t length = strlen(word);
    if (size < length)
        return false;
    for (size_t i = 0; i < length; i++)
        if (lower(text[i]) != word[i])
            return false;
    return true;
}

static bool is_secret(const char *name, size_t size)
{
    static const char *const words[] = {"pass", "secret", "token", "key", "cred", "dsn", "auth"};
    for (size_t at = 0; at < size; at++)
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            if (begins(name + at, size - at, words[i]))
                return true;
    return false;
}

bool redact_is_secret(const char *name)
{
    return is_secret(name, strlen(name));
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}

/* Prose has colons too ("checks passed: 3"): there only names that end like a secret's count. */
static bool ends_like_a_secret(const char *name, size_t size)
{
    static const char *const ends[] = {"pass",  "word", "passwd",      "phrase",        "secret",
                                       "token", "key",  "credentials", "authorization", "dsn"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t length = strlen(ends[i]);
        if (size >= length && begins(name + size - length, length, ends[i]))
            return true;
    }
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* How much of text is a secret's name with what stands before its value: `password=`, `"token": "`,
 * `--api-key `. 0: it is none. */
static size_t key_size(const char *text)
{
    size_t name = 0;
    while (is_name(text[name]))
        name++;
    if (name == 0 || !is_secret(text, name))
        return 0;
    size_t at = name;
    bool quoted = text[at] == '"' || text[at] == '\'';
    at += quoted;
    at += strspn(text + at, " \t");
    if (text[at] != '=' && text[at] != ':')
        return text[0] == '-' && at > name ? at : 0; /* an option with its value behind a blank */
    if (strncmp(text + at, "://", 3) == 0)
        return 0;
    if (text[at] == ':' && is_blank(text[at + 1]) && !quoted && !ends_like_a_secret(text, name))
        return 0;
    at++;
    return at + strspn(text + at, " \t");
}

/* Up to the quote at its end; one that is doubled, or behind a backslash, is part of it. */
static size_t quoted_size(const char *text, char quote)
{
    size_t at = 0;
    while (text[at] != '\0') {
        bool doubled = text[at] == quote && text[at + 1] == quote;
        bool escaped = text[at] == '\\' && text[at + 1] != '\0';
        if (text[at] == quote && !doubled)
            break;
        at += doubled || escaped ? 2 : 1;
    }
    return at;
}

/* "Bearer " and the like belong to the value. */
static size_t scheme_size(const char *text)
{
    static const char *const schemes[] = {"bearer", "basic", "digest", "token"};
    size_t left = strlen(text);
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t length = strlen(schemes[i]);
        if (begins(text, left, schemes[i]) && is_blank(text[length]))
            return length + strspn(text + length, " \t");
    }
    return 0;
}

/* Without quotes a value ends at a blank. What looks like one more name is part of it, with the
 * value of that one. */
static size_t value_size(const char *text)
{
    size_t size = 0, more;
    while ((more = key_size(text + size)) > 0 || (more = scheme_size(text + size)) > 0)
        size += more;
    char first = text[size];
    if (first == '"' || first == '\'')
        return size + 1 + quoted_size(text + size + 1, first);
    return size + strcspn(text + size, BLANKS "\"'");
}

/* Writes the key and *** for its value; how much of text that was. */
static size_t put_secret(struct writer *writer, const char *text, size_t key)
{
    size_t at = key;
    bool quoted = text[at] == '"' || text[at] == '\'';
    size_t value = quoted ? quoted_size(text + at + 1, text[at]) : value_size(text + at);
    at += quoted;
    put(writer, text, at);
    if (value > 0)
        put(writer, "***", 3);
    return at + value;
}

/* Who may enter, when the @ behind it was cut off: what has a colon in it, and no port behind that.
 */
static size_t cut_userinfo(const char *authority, size_t size)
{
    const char *colon = authority[0] != '[' ? memchr(authority, ':', size) : NULL;
    if (colon == NULL || authority[strcspn(authority, BLANKS "/?#\"'")] != '\0')
        return 0;
    return strspn(colon + 1, "0123456789") < size - (size_t)(colon + 1 - authority) ? size : 0;
}

/* The part of a word before its last @ that says who may enter, at *from; 0: there is none. */
static size_t find_userinfo(const char *word, const char **from)
{
    size_t size = strcspn(word, BLANKS);
    const char *at = memrchr(word, '@', size);
    const char *scheme = memmem(word, at != NULL ? (size_t)(at - word) : size, "://", 3);
    *from = scheme != NULL ? scheme + 3 : word;
    if (at == NULL)
        return scheme != NULL ? cut_userinfo(*from, size - (size_t)(*from - word)) : 0;
    size_t length = (size_t)(at - *from);
    return scheme != NULL || memchr(word, ':', length) != NULL ? length : 0;
}

/* Writes what is no secret up to where the next one could begin; how much of text that was. */
static size_t put_plain(struct writer *writer, const char *text)
{
    size_t size = 1;
    while (is_name(text[size - 1]) && is_name(text[size]))
        size++;
    put(writer, text, size);
    return size;
}

char *redact_text(char *out, size_t size, const char *text)
{
    struct writer writer = {out, size, 0};
    const char *userinfo = text, *userinfo_end = text;
    char before = ' ';
    while (*text != '\0') {
        if (strchr(BLANKS, before) != NULL) {
            size_t length = find_userinfo(text, &userinfo);
            userinfo_end = userinfo + length;
        }
        size_t key = is_name(before) ? 0 : key_size(text);
        if (key > 0) {
            text += put_secret(&writer, text, key);
        } else if (text >= userinfo && text < userinfo_end) {
            put(&writer, "***", 3);
            text = userinfo_end;
        } else {
            text += put_plain(&writer, text);
        }
        before = text[-1];
    }
    out[writer.used] = '\0';
    return out;
}

char *redact_value(char *out, size_t size, const char *name, const char *value)
{
    if (value[0] == '\0' || !redact_is_secret(name))
        return redact_text(out, size, value);
    struct writer writer = {out, size, 0};
    put(&writer, "***", 3);
    out[writer.used] = '\0';
    return out;
}
