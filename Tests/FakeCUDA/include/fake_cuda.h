// Stands in for libcuda, NVRTC, cuBLASLt and NCCL on a machine without a card: memory is the host's,
// kernels are run by the emulator, products by plain loops, and ranks exchange files. Every call checks
// what the real library would refuse, and can be told to fail.
//
// Loaded under the real names by way of links; see CUDASandbox in TestSupport.
#ifndef FAKE_CUDA_H
#define FAKE_CUDA_H

#ifdef __cplusplus
extern "C" {
#endif

/// Takes instructions, separated by spaces; so does the environment variable FAKE_CUDA at the start.
///
///     NAME=CODE       every call of a function returns the code
///     NAME=CODE@N     the Nth call from now on does
///     cards=N         how many cards there are
///     memory=N        bytes of a card
///     capability=N    such as 90
///     pools=0         no memory pools
///     known=80:90     architectures that the compiler knows
///     version=N       CUDA's version as the driver gives it, such as 12040
///     algorithms=A:B  what is proposed for every product, by the numbers of `enum` in products.c
///     broken=FILE     the compiler refuses this file
///     report=FILE     the most bytes of the card that were in use are written there at the end
///     nccl=N          NCCL's version as it gives it, such as 22703
///
/// ncclGroupEnd=6 is a rank that is lost and found to be so, ncclGroupEnd=99 one that hangs.
///
/// NAME/R=VALUE is for the process that Open MPI calls rank R.
void fake_cuda_tell(const char *instructions);

/// How often a function was called; or "live" bytes of memory of the card, the "peak" of them,
/// "pieces" of it, and "pinned" bytes of the host.
long fake_cuda_count(const char *name);

#ifdef __cplusplus
}
#endif
#endif
