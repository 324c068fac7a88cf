/* SPDX-License-Identifier: Apache-2.0 */
#include "probes.h"

#if !__has_embed("build/user.bpf.o") || !__has_embed("build/kernel.bpf.o") || !__has_embed("build/doctor.bpf.o")
#error "bpf/build/*.bpf.o are missing; run `make bpf` first"
#endif

_Alignas(8) const unsigned char drip_user_object[] = {
#embed "build/user.bpf.o"
};
const size_t drip_user_object_size = sizeof drip_user_object;

_Alignas(8) const unsigned char drip_kernel_object[] = {
#embed "build/kernel.bpf.o"
};
const size_t drip_kernel_object_size = sizeof drip_kernel_object;

_Alignas(8) const unsigned char drip_doctor_object[] = {
#embed "build/doctor.bpf.o"
};
const size_t drip_doctor_object_size = sizeof drip_doctor_object;
