// Marks what libbqengine.so exports; everything else in it is hidden.
#ifndef BQENGINE_EXPORT_H_
#define BQENGINE_EXPORT_H_

#if defined(__GNUC__)
#define BQENGINE_API __attribute__((visibility("default")))
#else
#define BQENGINE_API
#endif

#endif  // BQENGINE_EXPORT_H_
