/* A particle in a double well, kicked by noise, as a program with restart files:
 *
 *   dx = (x - x^3) dt + sqrt(epsilon) dW,   dy = -2 y dt + sqrt(epsilon) dW',   epsilon = 0.1.
 *
 *   dw --restart FILE --seed N --branch 0|1 --steps N --inner N --out FILE
 *
 * makes STEPS steps of INNER steps of 0.01 each, and prints the score after each of the former, a line each. The
 * state is 40 bytes: x, y, time, the generator, the score. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct state { double x, y, t; uint64_t generator; double score; };

static uint64_t next(uint64_t *generator) { /* SplitMix64 */
    uint64_t z = (*generator += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static double normal(uint64_t *generator) { /* Box and Muller */
    double u = ((double)(next(generator) >> 11) + 0.5) * 0x1p-53;
    double v = (double)(next(generator) >> 11) * 0x1p-53;
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

static double score(double x, double y) {
    double a = (x + 1.0) * (x + 1.0) + y * y, b = (x - 1.0) * (x - 1.0) + y * y;
    return 0.5 - 0.5 * exp(-8.0 * a) + 0.5 * exp(-8.0 * b);
}

static void advance(struct state *s, int n) {
    const double dt = 0.01, kick = sqrt(0.1 * dt);
    for (int i = 0; i < n; i++) {
        double x = s->x, y = s->y;
        s->x = x + (x - x * x * x) * dt + kick * normal(&s->generator);
        s->y = y - 2.0 * y * dt + kick * normal(&s->generator);
        s->t += dt;
    }
    s->score = score(s->x, s->y);
}

int main(int argc, char **argv) {
    const char *restart = NULL, *out = NULL;
    uint64_t seed = 0;
    int branch = 1, steps = 1, inner = 10;
    struct state s = {-1.0, 0.0, 0.0, 0, 0.0};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--restart")) restart = argv[i + 1];
        else if (!strcmp(argv[i], "--seed")) seed = strtoull(argv[i + 1], NULL, 10);
        else if (!strcmp(argv[i], "--branch")) branch = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--steps")) steps = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--inner")) inner = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--out")) out = argv[i + 1];
        else { fprintf(stderr, "dw: what is %s?\n", argv[i]); return 2; }
    }
    if (restart) {
        FILE *file = fopen(restart, "rb");
        if (!file || fread(&s, sizeof s, 1, file) != 1) { fprintf(stderr, "dw: cannot read %s\n", restart); return 3; }
        fclose(file);
    }
    if (branch) s.generator = seed; /* else it goes on as the restart has it */
    if (!restart) s.score = score(s.x, s.y);
    for (int i = 0; restart && i < steps; i++) {
        advance(&s, inner);
        printf("%.17g\n", s.score);
    }
    FILE *file = fopen(out, "wb");
    if (!file || fwrite(&s, sizeof s, 1, file) != 1 || fclose(file)) { perror("dw: the restart"); return 4; }
    return 0;
}
