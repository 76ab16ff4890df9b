# For `node-gyp rebuild` in the repository; the build itself is CMake's. Not part of the published package.
{
  "targets": [
    {
      "target_name": "user_llm_cmake",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "message": "building the addon with CMake",
          "inputs": ["CMakeLists.txt", "scripts/build-native.mjs"],
          "outputs": ["<(PRODUCT_DIR)/user_llm.node"],
          "action": ["node", "scripts/build-native.mjs", "--out", "<(PRODUCT_DIR)"]
        }
      ]
    }
  ]
}
