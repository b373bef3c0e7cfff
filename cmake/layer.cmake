# aspace_layer(NAME DIR SOURCES ... LAYERS ...): a static library for one layer.
# Its headers are seen by others as "NAME/header.h" and only by targets that link it: the include path is a folder of
# links made in the build tree, one folder a layer, so a forbidden include does not compile.
function(aspace_layer name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LAYERS;LIBS" ${ARGN})
    set(root ${CMAKE_BINARY_DIR}/layers/${name})
    file(MAKE_DIRECTORY ${root})
    file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${root}/${name} SYMBOLIC)
    add_library(${name} STATIC ${ARG_SOURCES})
    target_include_directories(${name} PUBLIC ${root})
    foreach(layer ${ARG_LAYERS})
        target_link_libraries(${name} PUBLIC ${layer})
    endforeach()
    target_link_libraries(${name} PRIVATE ${ARG_LIBS})
endfunction()
