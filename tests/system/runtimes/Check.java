// A busy Java program that checks itself until its input ends: threads, the compiler, the collector, null pointers (which
// are signals inside), children. Says "whole" then.
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

public class Check {
    static volatile boolean over;

    interface Work {
        void run() throws Exception;
    }

    static void wrong(String what) {
        System.out.println("wrong: " + what);
        Runtime.getRuntime().halt(1);
    }

    static byte[] hash(int seed) throws Exception {
        return MessageDigest.getInstance("SHA-256").digest(("" + seed).getBytes());
    }

    static Work compute(int seed) throws Exception {
        byte[] want = hash(seed);
        List<byte[]> blocks = new ArrayList<>();
        return () -> {
            if (!Arrays.equals(want, hash(seed)))
                wrong("a sum");
            byte[] block = new byte[1 << (8 + blocks.size() % 12)];
            for (int i = 0; i < block.length; i++)
                block[i] = (byte) (i * seed);
            blocks.add(block);
            if (blocks.size() <= 64)
                return;
            for (byte[] each : blocks)
                for (int i = 0; i < each.length; i++)
                    if (each[i] != (byte) (i * seed))
                        wrong("memory");
            blocks.clear();
        };
    }

    static int length(String text) {
        return text.length();
    }

    static void trap() {
        try {
            length(over ? "" : null);
        } catch (NullPointerException expected) {
            return;
        }
        if (!over)
            wrong("a null pointer");
    }

    static void sleep() throws Exception {
        long began = System.nanoTime();
        Thread.sleep(1);
        if (System.nanoTime() - began < 1000000)
            wrong("a sleep that was cut short");
    }

    static void spawn() throws Exception {
        Process child = new ProcessBuilder("/bin/echo", "whole").start();
        if (!new String(child.getInputStream().readAllBytes()).equals("whole\n") || child.waitFor() != 0)
            wrong("a child");
        System.gc();
    }

    public static void main(String[] args) throws Exception {
        List<Work> work = new ArrayList<>(List.of(Check::trap, Check::sleep, Check::spawn));
        for (int seed = 1; seed <= 4; seed++)
            work.add(compute(seed));
        List<Thread> threads = new ArrayList<>();
        for (Work each : work)
            threads.add(new Thread(() -> {
                try {
                    while (!over)
                        each.run();
                } catch (Throwable error) {
                    wrong(error.toString());
                }
            }));
        for (Thread thread : threads)
            thread.start();
        System.out.println("ready");
        while (System.in.read() >= 0)
            continue;
        over = true;
        for (Thread thread : threads)
            thread.join();
        System.out.println("whole");
    }
}
