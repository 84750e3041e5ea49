# The terms that MeshPose trains on; lengths in heatmap px; every term is 0 for people without its labels.
losses = dict(
    # Annotated surface points.
    barycentric=dict(type='BarycentricLoss', loss_weight=1.0),
    uv=dict(type='UVConsistencyLoss', loss_weight=1.0),
    visibility=dict(type='VisibilityLoss', loss_weight=0.5),
    # Meshes.
    fused=dict(type='VertexLoss', which='fused', loss_weight=1.0),
    regressed=dict(type='VertexLoss', which='regressed', loss_weight=1.0),
    vertexpose=dict(type='VertexLoss', which='vertexpose', loss_weight=0.5),
    edge=dict(type='EdgeLengthLoss', loss_weight=1.0),
    # Cross entropy of the heatmaps at the true positions: speeds up training.
    heatmap=dict(type='VertexHeatmapLoss', loss_weight=0.5))
