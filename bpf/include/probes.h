/* The BPF objects as bytes in the drip binary. An unsized array cannot be imported into Swift, hence the
 * accessors. */
#ifndef DRIP_PROBES_H
#define DRIP_PROBES_H
#include <stddef.h>
#include "abi.h"

extern const unsigned char drip_user_object[];
extern const size_t drip_user_object_size;
static inline const void *_Nonnull drip_user_object_pointer(void) { return drip_user_object; }

extern const unsigned char drip_kernel_object[];
extern const size_t drip_kernel_object_size;
static inline const void *_Nonnull drip_kernel_object_pointer(void) { return drip_kernel_object; }

extern const unsigned char drip_doctor_object[];
extern const size_t drip_doctor_object_size;
static inline const void *_Nonnull drip_doctor_object_pointer(void) { return drip_doctor_object; }

#endif
