/* The double well as a program that stays: it is told what to do by lines, and answers each with one. See
 * docs/programs.md. The state is 40 bytes: x, y, time, the generator, the score. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static struct { double x, y, t; uint64_t generator; double score; } s;

static uint64_t next(void) { /* SplitMix64 */
    uint64_t z = (s.generator += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static double normal(void) { /* Box and Muller */
    double u = ((double)(next() >> 11) + 0.5) * 0x1p-53, v = (double)(next() >> 11) * 0x1p-53;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

static void score(void) {
    double a = (s.x + 1.0) * (s.x + 1.0) + s.y * s.y, b = (s.x - 1.0) * (s.x - 1.0) + s.y * s.y;
    s.score = 0.5 - 0.5 * exp(-8.0 * a) + 0.5 * exp(-8.0 * b);
}

static void advance(int n, double dt) {
    for (double kick = sqrt(0.1 * dt); n > 0; n--) {
        double x = s.x, y = s.y;
        s.x = x + (x - x * x * x) * dt + kick * normal();
        s.y = y - 2.0 * y * dt + kick * normal();
        s.t += dt;
    }
    score();
}

static int file(const char *path, const char *mode) {
    FILE *f = fopen(path, mode);
    int n = f == NULL ? 0 : *mode == 'r' ? (int)fread(&s, sizeof s, 1, f) : (int)fwrite(&s, sizeof s, 1, f);
    return (f != NULL && fclose(f) != 0) || n != 1;
}

int main(void) {
    char line[4096], path[4096];
    unsigned long long seed;
    double t, dt;
    int inner, wrong;
    while (fgets(line, sizeof line, stdin)) { /* ends when its input does */
        wrong = 0;
        if (sscanf(line, "load %4000[^\n]", path) == 1) wrong = file(path, "rb");
        else if (sscanf(line, "save %4000[^\n]", path) == 1) wrong = file(path, "wb");
        else if (sscanf(line, "start %llu", &seed) == 1) { memset(&s, 0, sizeof s); s.x = -1.0; score(); }
        else if (sscanf(line, "branch %llu", &seed) == 1) s.generator = seed;
        else if (sscanf(line, "step %llu %lf %lf %d", &seed, &t, &dt, &inner) == 4) advance(inner, dt / inner);
        else if (strncmp(line, "score", 5) != 0) wrong = 1;
        if (wrong) printf("cannot %s", line);
        else if (strncmp(line, "score", 5) == 0) printf("ok %.17g\n", s.score);
        else puts("ok");
        fflush(stdout); /* or pytams waits for ever */
    }
    return 0;
}
