/* The project's version and the wire protocol's: the only place where either is written. CMake reads it from here. */
#ifndef ASPACE_VERSION_H
#define ASPACE_VERSION_H

#define ASPACE_VERSION  "0.1.0"
#define ASPACE_PROTOCOL 1

#endif
