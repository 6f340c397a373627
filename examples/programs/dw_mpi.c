/* The double well by two MPI ranks: one has x, the other y. Arguments as of `dw`; the state is 48 bytes: x, y, the two
 * generators, time, the score. With PYTAMS_HANG=FILE, the first launch that can make that file hangs: for a test. */
#include <fcntl.h>
#include <math.h>
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct { double x[2]; uint64_t generator[2]; double t, score; } s = {{-1.0, 0.0}, {0, 0}, 0.0, 0.0};

static double uniform(uint64_t *generator) { /* SplitMix64 */
    uint64_t z = (*generator += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

int main(int argc, char **argv) {
    const char *restart = NULL, *out = NULL, *hang = getenv("PYTAMS_HANG");
    uint64_t seed = 0;
    int rank, size, steps = 1, inner = 10;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (size != 2) MPI_Abort(MPI_COMM_WORLD, 2);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--restart")) restart = argv[i + 1];
        else if (!strcmp(argv[i], "--seed")) seed = strtoull(argv[i + 1], NULL, 10);
        else if (!strcmp(argv[i], "--steps")) steps = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--inner")) inner = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--out")) out = argv[i + 1];
    }
    if (hang && rank == 0 && open(hang, O_CREAT | O_EXCL, 0644) >= 0) for (;;) pause();
    if (restart) {
        FILE *file = fopen(restart, "rb");
        if (!file || fread(&s, sizeof s, 1, file) != 1) MPI_Abort(MPI_COMM_WORLD, 3);
        fclose(file);
    }
    s.generator[rank] = seed + (uint64_t)rank * 0xD1B54A32D192ED03u;
    for (int i = 0; restart && i < steps; i++) {
        double x = s.x[rank], all[2], dt = 0.01;
        for (int j = 0; j < inner; j++) {
            double u = uniform(&s.generator[rank]), v = uniform(&s.generator[rank]);
            double kick = sqrt(0.1 * dt) * sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
            x += (rank == 0 ? x - x * x * x : -2.0 * x) * dt + kick;
        }
        MPI_Allgather(&x, 1, MPI_DOUBLE, all, 1, MPI_DOUBLE, MPI_COMM_WORLD);
        memcpy(s.x, all, sizeof all);
        double a = (all[0] + 1.0) * (all[0] + 1.0) + all[1] * all[1];
        double b = (all[0] - 1.0) * (all[0] - 1.0) + all[1] * all[1];
        s.score = 0.5 - 0.5 * exp(-8.0 * a) + 0.5 * exp(-8.0 * b);
        s.t += inner * dt;
        if (rank == 0) printf("%.17g\n", s.score);
    }
    if (rank == 0) {
        FILE *file = fopen(out, "wb");
        if (!file || fwrite(&s, sizeof s, 1, file) != 1 || fclose(file)) MPI_Abort(MPI_COMM_WORLD, 4);
    }
    MPI_Finalize();
    return 0;
}
