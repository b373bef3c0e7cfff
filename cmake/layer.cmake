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

option(ASPACE_LTO "Compile layers as one when a release is linked" ON)
set(aspace_ipo OFF)
if(ASPACE_LTO)
    include(CheckIPOSupported)
    check_ipo_supported(RESULT aspace_ipo OUTPUT aspace_ipo_output LANGUAGES C)
endif()

# aspace_layer_as_one(NAME): in a release the layer's files are compiled as one, when they are linked. Whatever links the
# layer takes part.
function(aspace_layer_as_one name)
    if(aspace_ipo)
        set_target_properties(${name} PROPERTIES INTERPROCEDURAL_OPTIMIZATION_RELEASE ON)
        target_link_options(${name} INTERFACE $<$<CONFIG:Release>:${CMAKE_C_COMPILE_OPTIONS_IPO}>)
    endif()
endfunction()
