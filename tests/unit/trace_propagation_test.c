/* SPDX-License-Identifier: MIT
 *
 * What travels between processes, held against W3C's Trace Context Level 2 and Baggage.
 */
#include "base/ensure.h"
#include "harness.h"
#include "telemetry/propagation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define T "0af7651916cd43dd8448eb211c80319c"
#define S "b7ad6b7169203331"
#define GOOD "00-" T "-" S "-01"

/* --- a carrier ------------------------------------------------------------------------------- */

struct header {
    const char *name, *value;
};

struct headers {
    struct header list[80];
    size_t count;
    char texts[3][SRUN_BAGGAGE_MAX + 1];
};

static const char *get(void *carrier, const char *name, size_t index)
{
    const struct headers *headers = carrier;
    for (size_t i = 0; i < headers->count; i++)
        if (strcasecmp(headers->list[i].name, name) == 0 && index-- == 0)
            return headers->list[i].value;
    return NULL;
}

static void set(void *carrier, const char *name, const char *value)
{
    struct headers *headers = carrier;
    char *copy = headers->texts[headers->count];
    strcpy(copy, value);
    headers->list[headers->count++] = (struct header){name, copy};
}

static struct headers *carrier(void)
{
    static struct headers headers;
    headers.count = 0;
    return &headers;
}

static void add(struct headers *headers, const char *name, const char *value)
{
    headers->list[headers->count++] = (struct header){name, value};
}

static struct srun_span_context extract(struct headers *headers)
{
    struct srun_span_context out;
    int valid = srun_trace_extract(&out, get, headers);
    ck_assert_int_eq(valid, srun_span_context_is_valid(&out));
    return out;
}

/* --- traceparent ----------------------------------------------------------------------------- */

static const struct parent_case {
    const char *text, *out; /* out NULL: a new trace begins */
} parents[] = {
    {GOOD, GOOD},
    {"00-" T "-" S "-00", "00-" T "-" S "-00"},
    {"00-" T "-" S "-02", "00-" T "-" S "-02"},
    {"00-" T "-" S "-03", "00-" T "-" S "-03"},
    {"00-" T "-" S "-04", "00-" T "-" S "-00"},
    {"00-" T "-" S "-ff", "00-" T "-" S "-03"},
    {"00-" T "-" S "-09", GOOD},
    {"00-00000000000000000000000000000001-" S "-01",
     "00-00000000000000000000000000000001-" S "-01"},
    {"00-" T "-0000000000000001-01", "00-" T "-0000000000000001-01"},
    {"00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01",
     "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01"},
    /* later versions: what they have in common with this one */
    {"01-" T "-" S "-01", GOOD},
    {"01-" T "-" S "-01-what-the-future-will-be-like", GOOD},
    {"cc-" T "-" S "-01", GOOD},
    {"cc-" T "-" S "-01-", GOOD},
    {"fe-" T "-" S "-01-0", GOOD},
    {"01-" T "-" S "-01.what-the-future-will-be-like", NULL},
    {"cc-" T "-" S "-01.", NULL},
    {"cc-" T "-" S "-011", NULL},
    {"cc-" T "-" S "-0", NULL},
    /* version */
    {"ff-" T "-" S "-01", NULL},
    {"0-" T "-" S "-01", NULL},
    {"000-" T "-" S "-01", NULL},
    {".0-" T "-" S "-01", NULL},
    {"0.-" T "-" S "-01", NULL},
    {"0G-" T "-" S "-01", NULL},
    {"0A-" T "-" S "-01", NULL},
    {"FE-" T "-" S "-01", NULL},
    {"  -" T "-" S "-01", NULL},
    {"-" T "-" S "-01", NULL},
    {T "-" S "-01", NULL},
    /* trace id */
    {"00-00000000000000000000000000000000-" S "-01", NULL},
    {"00-.af7651916cd43dd8448eb211c80319c-" S "-01", NULL},
    {"00-0af7651916cd43dd8448eb211c80319.-" S "-01", NULL},
    {"00-0AF7651916CD43DD8448EB211C80319C-" S "-01", NULL},
    {"00-0af7651916cd43dd8448eb211c80319C-" S "-01", NULL},
    {"00-0af7651916cd43dd8448eb211c80319g-" S "-01", NULL},
    {"00-0af7651916cd43dd8448eb211c80319-" S "-01", NULL},
    {"00-0af7651916cd43dd8448eb211c80319cc-" S "-01", NULL},
    {"00-" S "-" S "-01", NULL},
    {"00--" S "-01", NULL},
    /* span id */
    {"00-" T "-0000000000000000-01", NULL},
    {"00-" T "-.7ad6b7169203331-01", NULL},
    {"00-" T "-b7ad6b716920333.-01", NULL},
    {"00-" T "-B7AD6B7169203331-01", NULL},
    {"00-" T "-b7ad6b716920333-01", NULL},
    {"00-" T "-b7ad6b71692033311-01", NULL},
    {"00-" T "-b7ad6b716920333z-01", NULL},
    {"00-" T "--01", NULL},
    /* flags */
    {"00-" T "-" S "-.0", NULL},
    {"00-" T "-" S "-0.", NULL},
    {"00-" T "-" S "-0", NULL},
    {"00-" T "-" S "-", NULL},
    {"00-" T "-" S, NULL},
    {"00-" T "-" S "-001", NULL},
    {"00-" T "-" S "-0A", NULL},
    {"00-" T "-" S "-1 ", NULL},
    {"00-" T "-" S "- 1", NULL},
    /* what stands around and between */
    {"", NULL},
    {"-", NULL},
    {"00", NULL},
    {" " GOOD, NULL},
    {GOOD " ", NULL},
    {GOOD "\n", NULL},
    {GOOD "-", NULL},
    {GOOD "-01", NULL},
    {GOOD ".", NULL},
    {GOOD "," GOOD, NULL},
    {"00_" T "-" S "-01", NULL},
    {"00-" T "_" S "-01", NULL},
    {"00-" T "-" S "_01", NULL},
    {"00 " T " " S " 01", NULL},
    {"00-" T "-" S "-0\xc3\xa4", NULL},
};

START_TEST(reads_a_traceparent_by_the_letter)
    {
        for (size_t i = 0; i < COUNT_OF(parents); i++) {
            const struct parent_case *c = &parents[i];
            char out[SRUN_TRACEPARENT_SIZE];
            struct headers *headers = carrier();
            add(headers, "TraceParent", c->text);
            struct srun_span_context context = extract(headers), parsed;
            srun_traceparent_format(&context, out);
            ck_assert_msg(strcmp(out, c->out != NULL ? c->out : "") == 0, "\"%s\": \"%s\"", c->text,
                          out);
            ck_assert_int_eq((context.flags & SRUN_TRACE_REMOTE) != 0, c->out != NULL);
            ck_assert_int_eq(srun_traceparent_parse(&parsed, c->text),
                             c->out != NULL ? 0 : -EINVAL);
            ck_assert_mem_eq(&parsed, &context, sizeof parsed);
        }
    }
END_TEST

START_TEST(begins_a_trace_when_there_are_two_traceparents)
    {
        struct headers *headers = carrier();
        add(headers, "traceparent", GOOD);
        add(headers, "traceparent", GOOD);
        add(headers, "tracestate", "a=1");
        struct srun_span_context context = extract(headers);
        ck_assert_int_eq(srun_span_context_is_valid(&context), 0);
        ck_assert_uint_eq(context.tracestate, 0);
    }
END_TEST

/* --- tracestate ------------------------------------------------------------------------------ */

#define TEN "abcdefghij"
#define K240                                                                                       \
    TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define K256 K240 "0123456789abcdef"

static const struct state_case {
    const char *first, *second, *out; /* of one or two headers */
} states[] = {
    {"a=1", NULL, "a=1"},
    {"foo=1,bar=2", NULL, "foo=1,bar=2"},
    {"foo=1", "bar=2", "foo=1,bar=2"},
    {" foo=1 \t,\t bar=2 ", NULL, "foo=1,bar=2"},
    {"", NULL, ""},
    {"", "a=1", "a=1"},
    {"a=1", "", "a=1"},
    {",,a=1,,b=2,", NULL, "a=1,b=2"},
    {"a=1,a=2", NULL, "a=1"},
    {"a=1", "a=2,b=3", "a=1,b=3"},
    {"a=two words", NULL, "a=two words"},
    {"a= 1", NULL, "a= 1"},
    {"a=1 ,b=2", NULL, "a=1,b=2"},
    {"fw529a3039@dt=FfD", NULL, "fw529a3039@dt=FfD"},
    {"0a=1", NULL, "0a=1"},
    {"a_-*/@b=1", NULL, "a_-*/@b=1"},
    {"a=!\"#$%&'()*+-./:;<>?@[]^_`{|}~", NULL, "a=!\"#$%&'()*+-./:;<>?@[]^_`{|}~"},
    {K256 "=1", NULL, K256 "=1"},
    {"a=" K256, NULL, "a=" K256},
    {K256 "z=1", NULL, ""},
    {"a=" K256 "z", NULL, ""},
    {"a=", NULL, ""},
    {"a", NULL, ""},
    {"=1", NULL, ""},
    {"A=1", NULL, ""},
    {"aB=1", NULL, ""},
    {"_a=1", NULL, ""},
    {"@a=1", NULL, ""},
    {"a b=1", NULL, ""},
    {"a =1", NULL, ""},
    {"a\xc3\xa4=1", NULL, ""},
    {"a=\xc3\xa4", NULL, ""},
    {"a=1=2", NULL, ""},
    {"a=b\tc", NULL, ""},
    {"a=1,B=2,c=3", NULL, ""},
    {"a=1", "B=2", ""},
    {"a.b=1", NULL, ""},
    {"a=1;b", NULL, "a=1;b"},
    {"a=1;b=2", NULL, ""},
    /* 32 members, 33 */
    {"a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1,l=1,m=1,n=1,o=1,p=1",
     "q=1,r=1,s=1,t=1,u=1,v=1,w=1,x=1,y=1,z=1,aa=1,ab=1,ac=1,ad=1,ae=1,af=1",
     "a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1,l=1,m=1,n=1,o=1,p=1,q=1,r=1,s=1,t=1,u=1,v=1,w=1,"
     "x=1,y=1,z=1,aa=1,ab=1,ac=1,ad=1,ae=1,af=1"},
    {"a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1,l=1,m=1,n=1,o=1,p=1",
     "q=1,r=1,s=1,t=1,u=1,v=1,w=1,x=1,y=1,z=1,aa=1,ab=1,ac=1,ad=1,ae=1,af=1,ag=1", ""},
    /* 512 bytes: long members go first, then the last */
    {"a=1,b=" K256 ",c=" K240 ",d=2", NULL, "a=1,b=" K256 ",c=" K240 ",d=2"},
    {"a=1,b=" K256 ",c=" K256 ",d=2", NULL, "a=1,b=" K256 ",d=2"},
};

START_TEST(carries_a_tracestate_or_leaves_all_of_it)
    {
        for (size_t i = 0; i < COUNT_OF(states); i++) {
            const struct state_case *c = &states[i];
            char out[SRUN_TRACESTATE_MAX + 1];
            struct headers *headers = carrier();
            add(headers, "traceparent", GOOD);
            add(headers, "tracestate", c->first);
            if (c->second != NULL)
                add(headers, "TraceState", c->second);
            struct srun_span_context context = extract(headers);
            ck_assert_int_eq(srun_span_context_is_valid(&context), 1);
            size_t size = srun_tracestate(&context, out, sizeof out);
            ck_assert_msg(strcmp(out, c->out) == 0, "\"%s\": \"%s\"", c->first, out);
            ck_assert_uint_eq(size, strlen(c->out));
        }
    }
END_TEST

START_TEST(puts_a_changed_member_first)
    {
        char out[SRUN_TRACESTATE_MAX + 1];
        struct srun_span_context context = {0};
        ck_assert_int_eq(srun_tracestate_set(&context, "a", "1"), 0);
        ck_assert_int_eq(srun_tracestate_set(&context, "b", "2"), 0);
        ck_assert_int_eq(srun_tracestate_set(&context, "a", "3"), 0);
        (void)srun_tracestate(&context, out, sizeof out);
        ck_assert_str_eq(out, "a=3,b=2");
        ck_assert_int_eq(srun_tracestate_set(&context, "a", NULL), 0);
        (void)srun_tracestate(&context, out, sizeof out);
        ck_assert_str_eq(out, "b=2");
        ck_assert_int_eq(srun_tracestate_set(&context, "A", "1"), -EINVAL);
        ck_assert_int_eq(srun_tracestate_set(&context, "", "1"), -EINVAL);
        ck_assert_int_eq(srun_tracestate_set(&context, NULL, "1"), -EINVAL);
        ck_assert_int_eq(srun_tracestate_set(&context, "c", "a,b"), -EINVAL);
        ck_assert_int_eq(srun_tracestate_set(&context, "c", "a\r\nb"), -EINVAL);
        ck_assert_int_eq(srun_tracestate_set(&context, "c", ""), -EINVAL);
        ck_assert_int_eq(srun_tracestate_set(&context, K256, K256), -E2BIG);
        for (int i = 0; i < 31; i++) {
            char key[8] = {'k', (char)('a' + i % 26), (char)('a' + i / 26)};
            ck_assert_int_eq(srun_tracestate_set(&context, key, "1"), 0);
        }
        ck_assert_int_eq(srun_tracestate_set(&context, "one.more", "1"), -EINVAL);
        ck_assert_int_eq(srun_tracestate_set(&context, "onemore", "1"), -E2BIG);
        ck_assert_uint_eq(srun_tracestate(&context, out, 3), 3 + 31 * 6);
        ck_assert_str_eq(out, "");
    }
END_TEST

START_TEST(a_member_is_there_when_setting_it_says_so)
    {
        struct srun_span_context context = {.trace_id = {1}, .span_id = {1}};
        char value[201] = "", out[SRUN_TRACESTATE_MAX + 1], before[SRUN_TRACESTATE_MAX + 1];
        memset(value, 'v', 100);
        for (char key[] = "a"; key[0] < 'e'; key[0]++)
            ck_assert_int_eq(srun_tracestate_set(&context, key, value), 0);
        (void)srun_tracestate(&context, before, sizeof before);
        memset(value, 'w', 200); /* long: it would be the first to go */
        ck_assert_int_eq(srun_tracestate_set(&context, "x", value), -E2BIG);
        (void)srun_tracestate(&context, out, sizeof out);
        ck_assert_str_eq(out, before);
        value[128 - 2] = '\0';
        ck_assert_int_eq(srun_tracestate_set(&context, "x", value), 0);
        ck_assert_uint_gt(srun_tracestate(&context, out, sizeof out), 128);
        ck_assert_mem_eq(out, "x=w", 3);
    }
END_TEST

/* --- baggage --------------------------------------------------------------------------------- */

static const struct baggage_case {
    const char *in, *out, *key, *value; /* what is sent on; a member, its value or NULL */
} baggages[] = {
    {"a=1", "a=1", "a", "1"},
    {"a=1,b=2", "a=1,b=2", "b", "2"},
    {" a = 1 , b\t=\t2 ", "a=1,b=2", "a", "1"},
    {"a=1,a=2", "a=2", "a", "2"},
    {"a=", "a=", "a", ""},
    {"a=%20x%3D%2c", "a=%20x%3D%2c", "a", " x=,"},
    {"a=%e4%bd%a0", "a=%e4%bd%a0", "a", "\xe4\xbd\xa0"},
    {"a=%ff%fe", "a=%ff%fe", "a", "\xef\xbf\xbd\xef\xbf\xbd"},
    {"a=x%00y", "a=x%00y", "a", "x\xef\xbf\xbdy"},
    {"a=%0d%0aX", "a=%0d%0aX", "a", "\r\nX"},
    {"a=1;p", "a=1;p", "a", "1"},
    {"a=1;p=2;q", "a=1;p=2;q", "a", "1"},
    {"a=1 ; p = 2 ; q ", "a=1;p = 2 ; q", "a", "1"},
    {"a=1;", "", "a", NULL},
    {"a=1;;p", "", "a", NULL},
    {"a=1;p=%", "", "a", NULL},
    {"a=b=c", "a=b=c", "a", "b=c"},
    {"a=%4", "", "a", NULL},
    {"a=%zz,b=2", "b=2", "b", "2"},
    {"a", "", "a", NULL},
    {"=1", "", "", NULL},
    {"a b=1,c=2", "c=2", "c", "2"},
    {"a=b c", "", "a", NULL},
    {"a=\"q\"", "", "a", NULL},
    {"a=\\", "", "a", NULL},
    {"a=\xc3\xa4,b=2", "b=2", "b", "2"},
    {"\xc3\xa4=1", "", "a", NULL},
    {"a(b)=1", "", "a(b)", NULL},
    {"!#$%&'*+-.^_`|~=1", "!#$%&'*+-.^_`|~=1", "!#$%&'*+-.^_`|~", "1"},
    {",,a=1,,", "a=1", "a", "1"},
    {"", "", "a", NULL},
    {"A=1,a=2", "A=1,a=2", "A", "1"},
    {"a=1\r\nX: y", "", "a", NULL},
};

START_TEST(reads_baggage_and_leaves_wrong_members_out)
    {
        for (size_t i = 0; i < COUNT_OF(baggages); i++) {
            const struct baggage_case *c = &baggages[i];
            char out[SRUN_BAGGAGE_MAX + 1];
            struct headers *headers = carrier();
            add(headers, "Baggage", c->in);
            struct srun_span_context context = extract(headers);
            ck_assert_uint_eq(srun_baggage(&context, out, sizeof out), strlen(c->out));
            ck_assert_msg(strcmp(out, c->out) == 0, "\"%s\": \"%s\"", c->in, out);
            int size = srun_baggage_get(&context, c->key, out, sizeof out);
            ck_assert_msg(size == (c->value != NULL ? (int)strlen(c->value) : -ENOENT),
                          "\"%s\": %d", c->in, size);
            if (c->value != NULL)
                ck_assert_str_eq(out, c->value);
        }
    }
END_TEST

START_TEST(refuses_baggage_that_is_too_large)
    {
        char text[SRUN_BAGGAGE_MAX + 100], out[SRUN_BAGGAGE_MAX + 1];
        for (size_t size = SRUN_BAGGAGE_MAX - 1; size <= SRUN_BAGGAGE_MAX + 1; size++) {
            memset(text, 'x', sizeof text);
            text[1] = '=';
            text[size] = '\0';
            struct headers *headers = carrier();
            add(headers, "baggage", text);
            struct srun_span_context context = extract(headers);
            ck_assert_uint_eq(srun_baggage(&context, out, sizeof out),
                              size <= SRUN_BAGGAGE_MAX ? size : 0);
        }
        struct headers *headers = carrier();
        text[SRUN_BAGGAGE_MAX / 2] = '\0';
        add(headers, "baggage", text);
        add(headers, "baggage", text);
        struct srun_span_context context = extract(headers);
        ck_assert_uint_eq(context.baggage, 0);
        for (int members = 63; members <= 65; members++) {
            char *at = text;
            for (int i = 0; i < members; i++)
                at += sprintf(at, "%sk%d=%d", i > 0 ? "," : "", i, i);
            headers = carrier();
            add(headers, "baggage", text);
            context = extract(headers);
            ck_assert_int_eq(context.baggage != 0, members <= 64);
        }
        headers = carrier();
        for (int i = 0; i < 70; i++)
            add(headers, "baggage", "a=1");
        context = extract(headers);
        ck_assert_uint_eq(context.baggage, 0);
    }
END_TEST

START_TEST(costs_little_however_much_is_sent)
    {
        size_t size = 1024 * 1024;
        char *text = malloc(size);
        memset(text, 'a', size - 1);
        text[size - 1] = '\0';
        int64_t best = INT64_MAX;
        for (int i = 0; i < 20; i++) {
            struct headers *headers = carrier();
            add(headers, "traceparent", text);
            add(headers, "tracestate", text);
            add(headers, "baggage", text);
            struct timespec before, after;
            (void)clock_gettime(CLOCK_MONOTONIC, &before);
            (void)extract(headers);
            (void)clock_gettime(CLOCK_MONOTONIC, &after);
            int64_t took =
                (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
            best = took < best ? took : best;
        }
        ck_assert_int_lt(best, 10000 * harness_slowness());
        free(text);
    }
END_TEST

static int collect(void *user, const char *key, const char *value, const char *metadata)
{
    char *out = user;
    (void)sprintf(out + strlen(out), "[%s|%s|%s]", key, value, metadata);
    return strcmp(key, "last") == 0 ? 7 : 0;
}

START_TEST(changes_baggage)
    {
        char out[SRUN_BAGGAGE_MAX + 1], all[200] = "";
        struct srun_span_context context = {0}, before;
        ck_assert_int_eq(srun_baggage_set(&context, "user", "a, b;\xc3\xa4%\r\n", "p=1;q"), 0);
        before = context;
        ck_assert_int_eq(srun_baggage_set(&context, "last", "", NULL), 0);
        ck_assert_int_eq(srun_baggage_set(&context, "more", "1", NULL), 0);
        (void)srun_baggage(&context, out, sizeof out);
        ck_assert_str_eq(out, "user=a%2C%20b%3B%C3%A4%25%0D%0A;p=1;q,last=,more=1");
        ck_assert_int_eq(srun_baggage_get(&context, "user", out, sizeof out), 10);
        ck_assert_str_eq(out, "a, b;\xc3\xa4%\r\n");
        ck_assert_int_eq(srun_baggage_get(&context, "user", out, 10), 10);
        ck_assert_str_eq(out, "");
        ck_assert_int_eq(srun_baggage_get(&context, "user", NULL, 0), 10);
        ck_assert_int_eq(srun_baggage_each(&context, collect, all), 7);
        ck_assert_str_eq(all, "[user|a, b;\xc3\xa4%\r\n|p=1;q][last||]");
        ck_assert_int_eq(srun_baggage_set(&context, "user", NULL, NULL), 0);
        ck_assert_int_eq(srun_baggage_set(&context, "nobody", NULL, NULL), 0);
        ck_assert_int_eq(srun_baggage_get(&context, "user", out, sizeof out), -ENOENT);
        ck_assert_int_eq(srun_baggage_get(&before, "user", out, sizeof out), 10); /* a value */
        ck_assert_int_eq(srun_baggage_set(&context, "a b", "1", NULL), -EINVAL);
        ck_assert_int_eq(srun_baggage_set(&context, "", "1", NULL), -EINVAL);
        ck_assert_int_eq(srun_baggage_set(&context, NULL, "1", NULL), -EINVAL);
        ck_assert_int_eq(srun_baggage_set(&context, "a", "1", "p,q=1"), -EINVAL);
        static char large[SRUN_BAGGAGE_MAX];
        memset(large, ' ', sizeof large - 1);
        ck_assert_int_eq(srun_baggage_set(&context, "a", large, NULL), -E2BIG);
        (void)srun_baggage(&context, out, sizeof out);
        ck_assert_str_eq(out, "last=,more=1");
    }
END_TEST

/* --- all of it ------------------------------------------------------------------------------- */

START_TEST(sends_what_it_has_read)
    {
        struct headers *in = carrier();
        add(in, "TRACEPARENT", GOOD);
        add(in, "TraceState", "a=1");
        add(in, "BAGGAGE", "k=v;p");
        struct srun_span_context context = extract(in);
        struct headers *out = carrier();
        srun_trace_inject(&context, set, out);
        ck_assert_uint_eq(out->count, 3);
        ck_assert_str_eq(get(out, "traceparent", 0), GOOD);
        ck_assert_str_eq(get(out, "tracestate", 0), "a=1");
        ck_assert_str_eq(get(out, "baggage", 0), "k=v;p");
        out = carrier();
        context = (struct srun_span_context){.baggage = context.baggage};
        srun_trace_inject(&context, set, out);
        ck_assert_uint_eq(out->count, 1);
        out = carrier();
        srun_trace_inject(&(struct srun_span_context){0}, set, out);
        srun_trace_inject(NULL, set, out);
        srun_trace_inject(&context, NULL, out);
        ck_assert_uint_eq(out->count, 0);
        ck_assert_int_eq(srun_trace_extract(&context, NULL, NULL), 0);
        char id[33];
        context = extract(in);
        srun_trace_id_text(&(struct srun_span_context){.trace_id = {0x0a, [15] = 0xff}}, id);
        ck_assert_str_eq(id, "0a0000000000000000000000000000ff");
        srun_span_id_text(&(struct srun_span_context){.span_id = {0x0a, [7] = 0xff}}, id);
        ck_assert_str_eq(id, "0a000000000000ff");
    }
END_TEST

START_TEST(propagates_what_was_chosen)
    {
        struct headers *in = carrier();
        add(in, "traceparent", GOOD);
        add(in, "baggage", "a=1");
        propagation_choose(PROPAGATE_BAGGAGE);
        struct srun_span_context context = extract(in);
        ck_assert_int_eq(srun_span_context_is_valid(&context), 0);
        ck_assert_uint_ne(context.baggage, 0);
        propagation_choose(PROPAGATE_TRACE);
        context = extract(in);
        ck_assert_int_eq(srun_span_context_is_valid(&context), 1);
        ck_assert_uint_eq(context.baggage, 0);
        propagation_choose(0);
        context = extract(in);
        ck_assert_int_eq(srun_span_context_is_valid(&context), 0);
        propagation_choose(PROPAGATE_ALL);
    }
END_TEST

static char *environment(const char *name)
{
    static char parent[] = GOOD, baggage[] = "a=1";
    return strcmp(name, "TRACEPARENT") == 0 ? parent
           : strcmp(name, "BAGGAGE") == 0   ? baggage
                                            : NULL;
}

START_TEST(travels_in_the_environment)
    {
        struct srun_span_context context;
        char buffer[SRUN_TRACE_ENVIRONMENT_SIZE];
        const char *list[4];
        ck_assert_int_eq(propagation_from_environment(&context, environment), 1);
        ck_assert_int_eq(srun_tracestate_set(&context, "s", "2"), 0);
        ck_assert_int_eq(srun_trace_to_environment(&context, buffer, list), 3);
        ck_assert_str_eq(list[0], "TRACEPARENT=" GOOD);
        ck_assert_str_eq(list[1], "TRACESTATE=s=2");
        ck_assert_str_eq(list[2], "BAGGAGE=a=1");
        ck_assert_ptr_null(list[3]);
        (void)setenv("TRACEPARENT", "nonsense", 1);
        ck_assert_int_eq(srun_trace_from_environment(&context), 0);
        (void)setenv("TRACEPARENT", GOOD, 1);
        ck_assert_int_eq(srun_trace_from_environment(&context), 1);
    }
END_TEST

int main(void)
{
    return HARNESS("trace_propagation", a_member_is_there_when_setting_it_says_so,
                   reads_a_traceparent_by_the_letter,
                   begins_a_trace_when_there_are_two_traceparents,
                   carries_a_tracestate_or_leaves_all_of_it, puts_a_changed_member_first,
                   reads_baggage_and_leaves_wrong_members_out, refuses_baggage_that_is_too_large,
                   costs_little_however_much_is_sent, changes_baggage, sends_what_it_has_read,
                   propagates_what_was_chosen, travels_in_the_environment);
}
