/* writer: what is written through the buffer, escaped, and said in numbers for people. */
#include "unit_test.h"

#include "writer.h"

static FILE *file;

static void open_file(void) {
    cr_assert_not_null(file = tmpfile());
}

static hki_writer document(void) {
    return (hki_writer){.descriptor = fileno(file)};
}

/* All that the file holds. */
static const char *written(void) {
    static char text[1 << 17];
    ssize_t length = pread(fileno(file), text, sizeof text - 1, 0);
    cr_assert_geq(length, 0);
    text[length] = '\0';
    return text;
}

static void assert_escaped(const char *text, const char *wanted) {
    cr_assert_eq(ftruncate(fileno(file), 0), 0);
    cr_assert_eq(lseek(fileno(file), 0, SEEK_SET), 0);
    hki_writer writer = document();
    hki_write_escaped(&writer, text);
    cr_assert(hki_writer_finish(&writer));
    cr_assert_str_eq(written(), wanted, "of '%s': '%s'", text, written());
}

#define REPLACED "\xef\xbf\xbd"

Test(writer, escapes, .init = open_file) {
    assert_escaped("", "");
    assert_escaped("plain 123 ;/", "plain 123 ;/");
    assert_escaped("<a href=\"x\">'&'</a>", "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
    assert_escaped("&amp;", "&amp;amp;");
    assert_escaped("]]>", "]]&gt;");
}

Test(writer, well_formed_characters_stay, .init = open_file) {
    static const char *const texts[] = {
        "\xc2\xa0",
        "\xc3\xa9",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xe4\xb8\xad",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbd",
        "\xf0\x90\x80\x80",
        "\xf0\x9f\x8e\x89",
        "~",
        "\xf4\x8f\xbf\xbd",
    };
    for (size_t i = 0; i < LENGTH_OF(texts); i++)
        assert_escaped(texts[i], texts[i]);
}

Test(writer, what_xml_does_not_allow_is_replaced, .init = open_file) {
    assert_escaped("\x01\x1f\n\t\x7f", REPLACED REPLACED REPLACED REPLACED REPLACED);
    assert_escaped("\xc2\x80", REPLACED REPLACED);              /* a control character */
    assert_escaped("\x80\xff\xfe", REPLACED REPLACED REPLACED); /* no beginnings */
    assert_escaped("\xc3", REPLACED);                           /* cut off */
    assert_escaped("\xe4\xb8x", REPLACED REPLACED "x");         /* cut off, then another */
    assert_escaped("\xc0\xaf", REPLACED REPLACED);              /* too long a form */
    assert_escaped("\xe0\x9f\xbf", REPLACED REPLACED REPLACED); /* likewise */
    assert_escaped("\xf0\x8f\xbf\xbf", REPLACED REPLACED REPLACED REPLACED);
    assert_escaped("\xed\xa0\x80", REPLACED REPLACED REPLACED);              /* a surrogate */
    assert_escaped("\xef\xbf\xbe", REPLACED REPLACED REPLACED);              /* U+FFFE */
    assert_escaped("\xf0\x9f\xbf\xbf", REPLACED REPLACED REPLACED REPLACED); /* U+1FFFF */
    assert_escaped("\xf4\x90\x80\x80", REPLACED REPLACED REPLACED REPLACED); /* beyond U+10FFFF */
    assert_escaped("\xf8\x88\x80\x80\x80", REPLACED REPLACED REPLACED REPLACED REPLACED);
}

Test(writer, buffer_is_written_when_full, .init = open_file) {
    hki_writer writer = document();
    char wanted[50000];
    size_t length = 0;
    for (unsigned i = 0; i < 6000; i++) {
        hki_write(&writer, "%u,", i);
        length += (size_t)snprintf(wanted + length, sizeof wanted - length, "%u,", i);
    }
    cr_assert(hki_writer_finish(&writer));
    cr_assert_str_eq(written(), wanted);
}

Test(writer, exactly_the_buffer, .init = open_file) {
    char text[HKI_WRITER_BUFFER + 1];
    memset(text, 'x', sizeof text);
    for (size_t length = HKI_WRITER_BUFFER - 2; length <= HKI_WRITER_BUFFER; length++) {
        hki_writer writer = document();
        text[length] = '\0';
        hki_write(&writer, "ab");
        hki_write(&writer, "%s", text);
        cr_assert_eq(hki_writer_finish(&writer), length < HKI_WRITER_BUFFER);
        text[length] = 'x';
    }
}

Test(writer, failure_is_kept, .init = open_file) {
    hki_writer writer = document();
    hki_write(&writer, "lost");
    fail_from(0);
    cr_assert_not(hki_writer_finish(&writer));
    hki_os_fail_calls(0, 0);
    hki_write(&writer, "not written either");
    hki_write_escaped(&writer, "<>");
    cr_assert_not(hki_writer_finish(&writer));
    cr_assert_str_eq(written(), "");
}

Test(writer, bytes_for_people) {
    cr_assert_str_eq(hki_readable_bytes(0).text, "0 B");
    cr_assert_str_eq(hki_readable_bytes(1023).text, "1023 B");
    cr_assert_str_eq(hki_readable_bytes(1024).text, "1 KiB");
    cr_assert_str_eq(hki_readable_bytes(1536).text, "1.5 KiB");
    cr_assert_str_eq(hki_readable_bytes(99 * 1024 + 1023).text, "99.9 KiB");
    cr_assert_str_eq(hki_readable_bytes(100 * 1024 + 512).text, "100 KiB");
    cr_assert_str_eq(hki_readable_bytes(((size_t)1 << 20) - 1).text, "1023 KiB");
    cr_assert_str_eq(hki_readable_bytes((size_t)1 << 30).text, "1 GiB");
    cr_assert_str_eq(hki_readable_bytes((size_t)3 << 40).text, "3 TiB");
    cr_assert_str_eq(hki_readable_bytes(SIZE_MAX).text, "15.9 EiB");
}

Test(writer, counts_for_people) {
    cr_assert_str_eq(hki_readable_count(0).text, "0");
    cr_assert_str_eq(hki_readable_count(999).text, "999");
    cr_assert_str_eq(hki_readable_count(1000).text, "1,000");
    cr_assert_str_eq(hki_readable_count(1234567).text, "1,234,567");
    cr_assert_str_eq(hki_readable_count(SIZE_MAX).text, "18,446,744,073,709,551,615");
}

Test(writer, shares_for_people) {
    cr_assert_str_eq(hki_readable_percent(0, 0).text, "0 %");
    cr_assert_str_eq(hki_readable_percent(0, 5).text, "0 %");
    cr_assert_str_eq(hki_readable_percent(1, 8).text, "12.5 %");
    cr_assert_str_eq(hki_readable_percent(2, 3).text, "66.7 %");
    cr_assert_str_eq(hki_readable_percent(7, 7).text, "100 %");
    cr_assert_str_eq(hki_readable_percent((size_t)1 << 47, (size_t)1 << 48).text, "50 %");
}
