#!/usr/bin/env bash
# OpenJDK: java -version, its compiler, and a program of threads that use memory outside of Java's heap: zlib, direct
# buffers, class loaders, the just-in-time compilers. What it prints, and the classes, must be equal to the byte.
# usage: java.sh HAKMEM_RUN [fast|full]      full: longer, and with each of the collectors
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/programs.bash"

write_program() {
    cat >Work.java <<'JAVA'
import java.io.*;
import java.nio.*;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import java.util.zip.*;

public class Work {
    static String digest(byte[] data) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(data));
    }

    /** A deflater and an inflater hold malloc'ed memory until they are ended, or found by the collector. */
    static byte[] zip(Random random, int rounds) throws Exception {
        var all = new ByteArrayOutputStream();
        for (int i = 0; i < rounds; i++) {
            byte[] plain = new byte[random.nextInt(100_000)];
            for (int j = 0; j < plain.length; j++) plain[j] = (byte) (random.nextInt(4) + i);
            var deflater = new Deflater(1 + i % 9);
            deflater.setInput(plain);
            deflater.finish();
            byte[] packed = new byte[plain.length + 1000];
            int length = deflater.deflate(packed);
            var inflater = new Inflater();
            inflater.setInput(packed, 0, length);
            byte[] again = new byte[plain.length];
            inflater.inflate(again);
            if (!Arrays.equals(plain, again)) throw new AssertionError("zip");
            if (i % 3 != 0) { deflater.end(); inflater.end(); }
            all.write(packed, 0, length);
        }
        return all.toByteArray();
    }

    static long direct(Random random, int rounds) {
        var kept = new ArrayDeque<ByteBuffer>();
        long sum = 0;
        for (int i = 0; i < rounds; i++) {
            var buffer = ByteBuffer.allocateDirect(1 + random.nextInt(i % 20 == 0 ? 2_000_000 : 5_000));
            while (buffer.hasRemaining()) buffer.put((byte) i);
            kept.add(buffer);
            if (kept.size() > 30) sum += kept.remove().get(0);
        }
        return sum;
    }

    static String objects(Random random, int rounds) {
        var map = new TreeMap<String, List<Integer>>();
        for (int i = 0; i < rounds; i++)
            map.computeIfAbsent("key" + random.nextInt(3000), k -> new ArrayList<>()).add(random.nextInt());
        return map.entrySet().parallelStream().map(e -> e.getKey().replaceAll("([0-9])", "<$1>") + e.getValue().size())
            .collect(Collectors.joining(","));
    }

    static String work(int seed, int scale) throws Exception {
        var random = new Random(seed);
        return digest(zip(random, 20 * scale)) + " " + direct(random, 300 * scale) + " "
            + digest(objects(random, 20_000 * scale).getBytes(StandardCharsets.UTF_8));
    }

    public static void main(String[] arguments) throws Exception {
        int scale = Integer.parseInt(arguments[0]);
        var pool = Executors.newFixedThreadPool(4);
        var answers = new ArrayList<Future<String>>();
        for (int i = 0; i < 12; i++) {
            int seed = i;
            answers.add(pool.submit(() -> work(seed, scale)));
            if (i % 4 == 0) System.gc();
        }
        for (var answer : answers) System.out.println(answer.get());
        pool.shutdown();
        for (int i = 0; i < 200 * scale; i++) {
            var thread = new Thread(() -> ByteBuffer.allocateDirect(10_000));
            thread.start();
            thread.join();
        }
        var zip = new ByteArrayOutputStream();
        try (var out = new ZipOutputStream(zip)) {
            for (int i = 0; i < 50; i++) {
                var entry = new ZipEntry("entry" + i);
                entry.setTime(1_700_000_000_000L);
                out.putNextEntry(entry);
                out.write(("text " + i).repeat(1000).getBytes());
            }
        }
        System.out.println(digest(zip.toByteArray()));
    }
}
JAVA
}

work() {
    local scale=$1 options=("${@:2}")
    "${on[@]}" java "${options[@]}" -version
    write_program
    "${on[@]}" javac "${options[@]/#/-J}" Work.java
    "${on[@]}" java "${options[@]}" -Xmx512m -cp . Work "$scale"
    "${on[@]}" java "${options[@]}" -XX:TieredStopAtLevel=1 -cp . Work 1
    "${on[@]}" jar --create --date 2023-01-01T00:00:00Z --file work.jar ./*.class
}

has_hakmem 1 java -version
if [[ $extent == fast ]]; then
    compare 'once' work 1
else
    for collector in Serial Parallel G1 Z Shenandoah; do
        compare "$collector" work 3 "-XX:+Use${collector}GC"
    done
fi
finish
